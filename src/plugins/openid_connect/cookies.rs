//! Cookies of log-ins (RFC 6265), and values too long for one of them.
use std::fmt::Write as _;

use http::HeaderMap;

use super::SameSite;
use super::settings::CookieSettings;
use crate::plugins::browser::cookies::{self, find};

/// Longest value of one cookie: with name and attributes below the 4096 bytes that browsers keep (RFC 6265 §6.1).
const PIECE: usize = 3700;

/// Most cookies of one value, 29,600 bytes; heads of requests are bounded too.
const PIECES: usize = 8;

/// The value is longer than cookies can hold.
#[derive(Debug, thiserror::Error)]
#[error("{0} bytes are too long for cookies, of which {max} are the limit; use `storage: redis`, or ask for fewer claims",
    max = PIECE * PIECES)]
pub(super) struct TooLong(usize);

/// Takes our own cookies out of a request.
pub(super) fn strip(headers: &mut HeaderMap, session: &str) {
    cookies::strip(headers, |name| is_own(name, session));
}

/// Whether a cookie is one of ours, by the name of the session's: itself, `_<piece>`, `_login_<attempt>`, `_restarts`.
fn is_own(name: &str, session: &str) -> bool {
    let Some(rest) = name.strip_prefix(session) else { return false };
    match rest.strip_prefix('_') {
        None => rest.is_empty(),
        Some(rest) => rest.starts_with("login_") || rest == "restarts" || rest.parse::<usize>().is_ok(),
    }
}

/// A value in pieces: `<name>` holds `<count>.<piece>`, `<name>_1` and on the rest.
pub(super) fn join(headers: &HeaderMap, name: &str) -> Option<String> {
    let (count, first) = find(headers, name)?.split_once('.')?;
    let count: usize = count.parse().ok().filter(|count| (1..=PIECES).contains(count))?;
    let mut whole = first.to_owned();
    for index in 1..count {
        whole.push_str(find(headers, &piece_name(name, index))?);
    }
    Some(whole)
}

/// Sets a value in pieces, and ends the pieces of a longer one before.
///
/// # Errors
/// [`TooLong`].
pub(super) fn split(
    settings: &CookieSettings,
    headers: &HeaderMap,
    value: &str,
    out: &mut Vec<String>,
) -> Result<(), TooLong> {
    let count = value.len().div_ceil(PIECE).max(1);
    if count > PIECES {
        return Err(TooLong(value.len()));
    }
    let mut rest = value;
    for index in 0..count {
        // the text is ASCII
        let (piece, behind) = rest.split_at_checked(PIECE).unwrap_or((rest, ""));
        rest = behind;
        let value = if index == 0 { format!("{count}.{piece}") } else { piece.to_owned() };
        out.push(set(settings, &piece_name(&settings.name, index), &value, settings.same_site));
    }
    end_pieces(settings, headers, count, out);
    Ok(())
}

/// Ends every piece that the browser has.
pub(super) fn end_all(settings: &CookieSettings, headers: &HeaderMap, out: &mut Vec<String>) {
    end_pieces(settings, headers, 0, out);
}

fn end_pieces(settings: &CookieSettings, headers: &HeaderMap, from: usize, out: &mut Vec<String>) {
    let names = (from..PIECES).map(|index| piece_name(&settings.name, index));
    out.extend(names.filter(|name| find(headers, name).is_some()).map(|name| end(settings, &name)));
}

fn piece_name(name: &str, index: usize) -> String {
    if index == 0 { name.to_owned() } else { format!("{name}_{index}") }
}

/// A `Set-Cookie` value for a cookie that lives as long as the browser.
pub(super) fn set(settings: &CookieSettings, name: &str, value: &str, same_site: SameSite) -> String {
    let mut text = format!("{name}={value}; Path={}", settings.path);
    if let Some(domain) = &settings.domain {
        // writing to a `String` does not fail
        let _ = write!(text, "; Domain={domain}");
    }
    text.push_str(match same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
        SameSite::Default => "",
    });
    if settings.secure {
        text.push_str("; Secure");
    }
    if settings.http_only {
        text.push_str("; HttpOnly");
    }
    text
}

/// A `Set-Cookie` value that ends a cookie.
pub(super) fn end(settings: &CookieSettings, name: &str) -> String {
    set(settings, name, "", SameSite::Lax) + "; Max-Age=0"
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn settings() -> CookieSettings {
        CookieSettings {
            name: "s".to_owned(),
            path: "/".to_owned(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
        }
    }

    fn request(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    /// What a browser sends after it was told `set`.
    fn sent_back(set: &[String]) -> HeaderMap {
        let pairs: Vec<_> =
            set.iter().filter(|text| !text.contains("Max-Age=0")).map(|text| text.split(';').next().unwrap()).collect();
        request(&[&pairs.join("; ")])
    }

    #[test]
    fn long_values_go_in_pieces_and_come_back_whole() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, PIECE * PIECES] {
            let value = "v".repeat(length);
            let mut set = Vec::new();
            split(&settings(), &HeaderMap::new(), &value, &mut set).unwrap();
            assert_eq!(set.len(), length.div_ceil(PIECE).max(1));
            assert!(
                set.iter().all(|text| text.len() < 4096 && text.ends_with("; Path=/; SameSite=Lax; Secure; HttpOnly"))
            );
            assert_eq!(join(&sent_back(&set), "s").unwrap(), value);
        }
        assert!(split(&settings(), &HeaderMap::new(), &"v".repeat(PIECE * PIECES + 1), &mut Vec::new()).is_err());
    }

    #[test]
    fn pieces_of_a_longer_value_are_ended() {
        let mut set = Vec::new();
        split(&settings(), &request(&["s=3.a; s_1=b; s_2=c; x=y"]), "short", &mut set).unwrap();
        assert_eq!(set.len(), 3);
        assert!(set[1].starts_with("s_1=;") && set[2].starts_with("s_2=;") && set[2].ends_with("Max-Age=0"));
    }

    #[test]
    fn values_that_are_not_whole_are_none() {
        for cookies in ["s=2.a", "s=a", "s=0.a", "s=9.a", "s=-1.a", "s=.a", "x=1.a", ""] {
            assert_eq!(join(&request(&[cookies]), "s"), None, "{cookies}");
        }
    }

    #[test]
    fn own_cookies_do_not_go_upstream_and_others_do() {
        let mut headers = request(&["a=1; s=1.x; s_login_ab=y; s_restarts=1", "s_1=z; b=2; sa=3; s_x=4"]);
        strip(&mut headers, "s");
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; sa=3; s_x=4"]);
        let mut headers = request(&["s=1.x"]);
        strip(&mut headers, "s");
        assert!(headers.is_empty());
    }
}
