//! Pages that pass for files (cache deception): `/account/x.css` that an application answers with the account's page.
use http::header::{CONTENT_TYPE, HeaderMap};

/// Ends of paths that say a file of pictures, styles and the like. A page under such a name is no answer to keep.
const FILES: [&str; 40] = [
    "7z", "avi", "avif", "bmp", "bz2", "class", "css", "csv", "doc", "docx", "eot", "exe", "flac", "gif", "gz", "ico",
    "jar", "jpeg", "jpg", "js", "mid", "mjs", "mp3", "mp4", "ogg", "otf", "pdf", "png", "ppt", "pptx", "svg", "tar",
    "tif", "ttf", "webm", "webp", "woff", "woff2", "xls", "zip",
];

/// Media types of pages and of what applications say.
const PAGES: [&str; 5] = ["text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml"];

/// Whether an answer is something else than one of its paths says.
pub(super) fn deceives(paths: &[&[u8]], answer: &HeaderMap) -> bool {
    if !paths.iter().any(|path| is_files(path)) {
        return false;
    }
    let media = answer.get(CONTENT_TYPE).map_or(&b""[..], |media| media.as_bytes());
    let media = media.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let is_json = media.last_chunk::<5>().is_some_and(|end| end.eq_ignore_ascii_case(b"+json"));
    is_json || PAGES.iter().any(|page| page.as_bytes().eq_ignore_ascii_case(media))
}

/// Whether a path ends as those of files do.
fn is_files(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let end = name.iter().rposition(|byte| *byte == b'.').and_then(|dot| name.get(dot + 1..));
    end.is_some_and(|end| FILES.iter().any(|file| file.as_bytes().eq_ignore_ascii_case(end)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn pages_under_names_of_files_are_found() {
        for (path, media, wanted) in [
            ("/account/x.css", "text/html; charset=utf-8", true),
            ("/account/X.JPG", "Application/JSON", true),
            ("/account/a.b.png", "text/html", true),
            ("/account/a.png", "application/vnd.api+JSON", true),
            ("/account/a.png", "text/xml", true),
            ("/site.css", "text/css", false),
            ("/index.html", "text/html", false),
            ("/account.css/page", "text/html", false),
            ("/account", "text/html", false),
            ("/x.css", "", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media))]);
            assert_eq!(deceives(&[path.as_bytes()], &headers), wanted, "{path} {media}");
            assert_eq!(deceives(&[b"/index.php", path.as_bytes()], &headers), wanted, "{path} {media}");
        }
    }
}
