//! The time of day where the machine stands.
#![expect(unsafe_code, reason = "the system knows its time zone, and tells it through a call of C alone")]

use crate::state::sharing::hours::LocalTime;

/// The moment so many seconds after 1970; nothing where the system cannot tell.
pub(in crate::host) fn at(unix_s: u64) -> Option<LocalTime> {
    let seconds = libc::time_t::try_from(unix_s).ok()?;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to values of the right type that live through the call; `localtime_r` writes only there, and
    // reads the environment under the C library's lock, which nobody in this process changes.
    let parts = unsafe {
        if libc::localtime_r(&raw const seconds, parts.as_mut_ptr()).is_null() {
            return None;
        }
        // SAFETY: zeroes are a valid `tm`, and the call has filled it.
        parts.assume_init()
    };
    let minute = u16::try_from(parts.tm_hour * 60 + parts.tm_min).ok()?;
    // Sunday is 0 there and 6 here.
    let weekday = u8::try_from((parts.tm_wday + 6) % 7).ok()?;
    Some(LocalTime { weekday, minute })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_pass_and_a_week_later_it_is_the_same_day() {
        // In the middle of January and of an hour, where no zone changes anything.
        let now = at(1_800_000_060).unwrap();
        let later = at(1_800_000_060 + 7 * 24 * 3600).unwrap();
        assert_eq!((now, now.after(1)), (later, at(1_800_000_120).unwrap()));
        assert_eq!(now.after(24 * 60), at(1_800_000_060 + 24 * 3600).unwrap());
    }
}
