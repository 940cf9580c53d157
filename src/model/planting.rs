//! How simulations plant bugs to see that their rules notice them. Each room that decides lists its own, as an `enum`, and
//! asks `planted(Bug::…)` where each would be made.

/// Makes `planted` and, in tests, `plant` for the bugs of `$bug`. Outside tests there are none: `planted` is a constant
/// `false` there, and what depends on it is compiled away.
macro_rules! plantable {
    ($visible:vis $bug:ident) => {
        /// Whether this bug is planted.
        #[cfg(not(test))]
        $visible const fn planted(_: $bug) -> bool {
            false
        }

        #[cfg(test)]
        thread_local! {
            static PLANTED: std::cell::Cell<Option<$bug>> = const { std::cell::Cell::new(None) };
        }

        /// Whether this bug is planted in this thread.
        #[cfg(test)]
        $visible fn planted(bug: $bug) -> bool {
            PLANTED.get() == Some(bug)
        }

        /// Runs something with a bug planted in this thread, whatever becomes of it.
        #[cfg(test)]
        $visible fn plant<T>(bug: $bug, work: impl FnOnce() -> T) -> T {
            struct Uproot;
            impl Drop for Uproot {
                fn drop(&mut self) {
                    PLANTED.set(None);
                }
            }
            PLANTED.set(Some(bug));
            let _uproot = Uproot;
            work()
        }
    };
}

pub(crate) use plantable;
