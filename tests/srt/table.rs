//! What was carried, for people: printed whole, whatever the harness does with output.

use std::io::Write;

/// One case.
#[derive(Debug)]
pub struct Row {
    pub case: String,
    pub sent: u64,
    pub received: u64,
    pub missing: u64,
    pub remark: String,
}

/// Prints them, then fails if any did not carry everything.
pub fn judge(title: &str, rows: &[Row]) {
    let mut text = format!("\n{title}\n{:<56} {:>8} {:>8} {:>8}  remark\n", "case", "sent", "received", "missing");
    for Row { case, sent, received, missing, remark } in rows {
        text += &format!("{case:<56} {sent:>8} {received:>8} {missing:>8}  {remark}\n");
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    let wrong: Vec<_> =
        rows.iter().filter(|row| row.missing > 0 || row.received == 0 || row.received != row.sent).collect();
    assert!(wrong.is_empty(), "{title}: not everything arrived: {wrong:#?}");
}

/// Runs cases on a few threads; they mostly wait. The first panic is passed on.
pub fn side_by_side<C: Sync, R: Send>(at_once: usize, cases: &[C], run: impl Fn(&C) -> R + Sync) -> Vec<R> {
    let chunks: Vec<&[C]> = cases.chunks(at_once).collect();
    let mut rows = Vec::new();
    for chunk in chunks {
        let run = &run;
        let done = std::thread::scope(|scope| {
            let threads: Vec<_> = chunk.iter().map(|case| scope.spawn(move || run(case))).collect();
            threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
        });
        for row in done {
            rows.push(row.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    }
    rows
}
