//! When an alternative is valid: from one date until another, in UTC.

use toml::value::{Date, Datetime, Offset, Time};

/// A stretch of time, Unix seconds. No bound on a side: valid for ever on that side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The first second in it.
    pub from: Option<i64>,
    /// The first second behind it.
    pub until: Option<i64>,
}

/// Where a moment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before the window.
    TooEarly,
    /// In it.
    Within,
    /// Behind it.
    TooLate,
}

impl Window {
    /// Where a moment (Unix seconds) lies.
    pub fn at(&self, now: i64) -> When {
        if self.until.is_some_and(|until| now >= until) {
            When::TooLate
        } else if self.from.is_some_and(|from| now < from) {
            When::TooEarly
        } else {
            When::Within
        }
    }

    /// `from 2026-01-01T00:00:00Z until 2027-01-01T00:00:00Z`, or `always`.
    pub(crate) fn describe(&self) -> String {
        match (self.from, self.until) {
            (None, None) => "always".to_owned(),
            (Some(from), None) => format!("from {}", shown(from)),
            (None, Some(until)) => format!("until {}", shown(until)),
            (Some(from), Some(until)) => format!("from {} until {}", shown(from), shown(until)),
        }
    }
}

/// The first second of a date, or a date-time's own.
pub(super) fn beginning(date: &Datetime) -> Result<i64, &'static str> {
    seconds(date, 0)
}

/// The first second behind a date, which counts whole; or a date-time's own.
pub(super) fn end(date: &Datetime) -> Result<i64, &'static str> {
    seconds(date, 1)
}

const FORM: &str = "write a date (2026-12-31, in UTC) or a date with time and offset (2026-12-31T22:00:00Z)";

fn seconds(date: &Datetime, more_days: i64) -> Result<i64, &'static str> {
    match (date.date, date.time, date.offset) {
        (Some(day), None, None) => Ok(days(day).saturating_add(more_days).saturating_mul(86_400)),
        (Some(day), Some(time), Some(offset)) => {
            let minutes = match offset {
                Offset::Z => 0,
                Offset::Custom { minutes } => i64::from(minutes),
            };
            Ok(days(day)
                .saturating_mul(86_400)
                .saturating_add(of_day(time))
                .saturating_sub(minutes.saturating_mul(60)))
        }
        _ => Err(FORM),
    }
}

fn of_day(time: Time) -> i64 {
    let minutes = i64::from(time.hour)
        .saturating_mul(60)
        .saturating_add(i64::from(time.minute));
    minutes
        .saturating_mul(60)
        .saturating_add(i64::from(time.second.unwrap_or(0)))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days(date: Date) -> i64 {
    days_of(i64::from(date.year), i64::from(date.month), i64::from(date.day))
}

/// Days since 1970-01-01: whole years of 365 days, the leap days among them, whole months, days.
/// The year is counted from March, so that the leap day is the last of its year.
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 {
        (year.saturating_sub(1), month.saturating_add(9))
    } else {
        (year, month.saturating_sub(3))
    };
    let leap_days = year
        .div_euclid(4)
        .saturating_sub(year.div_euclid(100))
        .saturating_add(year.div_euclid(400));
    // From March on the lengths 31, 30, 31, 30, 31 repeat: 153 days in five months.
    let months = month.saturating_mul(153).saturating_add(2).div_euclid(5);
    year.saturating_mul(365)
        .saturating_add(leap_days)
        .saturating_add(months)
        .saturating_add(day)
        // 1970-01-01 in this count.
        .saturating_sub(719_469)
}

/// A moment as `2026-12-31T22:00:00Z`.
pub(crate) fn shown(unix: i64) -> String {
    // Year 0 to 9999, as dates are written; a few steps from a guess that is a little low.
    let unix = unix.clamp(-62_167_219_200, 253_402_300_799);
    let (days, second) = (unix.div_euclid(86_400), unix.rem_euclid(86_400));
    let mut year = days
        .div_euclid(if days < 0 { 365 } else { 366 })
        .saturating_add(1970);
    while days_of(year.saturating_add(1), 1, 1) <= days {
        year = year.saturating_add(1);
    }
    let month = (2..=12)
        .take_while(|month| days_of(year, *month, 1) <= days)
        .last()
        .unwrap_or(1);
    let day = days.saturating_sub(days_of(year, month, 1)).saturating_add(1);
    let (hour, minute) = (second.div_euclid(3600), second.rem_euclid(3600).div_euclid(60));
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z",
        second.rem_euclid(60)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Datetime {
        text.parse().expect(text)
    }

    #[test]
    fn dates_are_whole_days_in_utc() {
        assert_eq!(beginning(&read("1970-01-01")), Ok(0));
        assert_eq!(end(&read("1970-01-01")), Ok(86_400));
        assert_eq!(beginning(&read("2000-02-29")), Ok(951_782_400));
        assert_eq!(end(&read("2026-12-31")), beginning(&read("2027-01-01")));
        assert_eq!(beginning(&read("2026-12-31")), Ok(1_798_675_200));
        assert_eq!(beginning(&read("2026-12-31T01:00:00+01:00")), Ok(1_798_675_200));
        assert_eq!(end(&read("2026-12-31T00:00:00Z")), Ok(1_798_675_200));
        for vague in ["2026-12-31T00:00:00", "00:00:00"] {
            assert_eq!(beginning(&read(vague)), Err(FORM), "{vague}");
        }
    }

    #[test]
    fn every_day_is_shown_as_it_is_read() {
        let mut day = days_of(1890, 1, 1);
        while day < days_of(2510, 1, 1) {
            let text = shown(day * 86_400 + 3723);
            assert_eq!(beginning(&read(&text)), Ok(day * 86_400 + 3723), "{text}");
            day += 1;
        }
    }

    #[test]
    fn a_window_ends_before_its_end() {
        let window = Window {
            from: Some(10),
            until: Some(20),
        };
        let at = [9, 10, 19, 20].map(|now| window.at(now));
        assert_eq!(at, [When::TooEarly, When::Within, When::Within, When::TooLate]);
        assert_eq!(Window::default().at(i64::MIN), When::Within);
    }
}
