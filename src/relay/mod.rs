//! The far end of a bonded link: SRT comes in, what the box sent goes out again to destinations and recordings.
