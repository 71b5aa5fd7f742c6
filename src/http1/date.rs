//! The `Date` field (RFC 9110 §5.6.7), formatted once a second and thread.
use std::cell::RefCell;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    /// Scratch: the second that was formatted last, and its text.
    static LAST: RefCell<(u64, Vec<u8>)> = const { RefCell::new((u64::MAX, Vec::new())) };
}

/// Writes `date: <now>` and the line end.
pub(super) fn write_date(out: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with_borrow_mut(|(second, text)| {
        if *second != now {
            text.clear();
            *second = now;
            format(text, now);
        }
        out.extend_from_slice(text);
    });
}

/// The same as a value.
#[cfg(all(feature = "server", feature = "http2"))]
pub(crate) fn date_value() -> http::HeaderValue {
    let mut line = Vec::new();
    write_date(&mut line);
    let value = line.strip_prefix(b"date: ").and_then(|line| line.strip_suffix(b"\r\n")).unwrap_or_default();
    // It is text.
    http::HeaderValue::from_bytes(value).unwrap_or(http::HeaderValue::from_static(""))
}

fn format(out: &mut Vec<u8>, seconds: u64) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = DAYS.get((days % 7) as usize).unwrap_or(&"Thu");
    let month = MONTHS.get(month as usize).unwrap_or(&"Jan");
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    // Writing to a Vec cannot fail.
    let _ = write!(out, "date: {weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT\r\n");
}

/// Year, month (0 = January) and day of a day number since 1970, by counting in eras of 400 years from 1 March 0000.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    (era * 400 + year_of_era + u64::from(month < 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_imf_fixdates() {
        for (seconds, wanted) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_102_444_800, "Fri, 01 Jan 2100 00:00:00 GMT"),
        ] {
            let mut out = Vec::new();
            format(&mut out, seconds);
            assert_eq!(String::from_utf8(out).unwrap(), format!("date: {wanted}\r\n"));
        }
    }
}
