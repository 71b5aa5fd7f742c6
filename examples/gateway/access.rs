//! The access log: to the terminal or to a file.
use std::io;
use std::path::Path;

use tollgate::server::access_log::{AccessLogLayer, AccessLogWriter, FileSink, Format};

use crate::args::LogForm;

/// An open access log.
pub(crate) struct Log {
    format: Format,
    writer: AccessLogWriter,
}

/// Opens `path` for appending; `-` is the terminal.
pub(crate) fn open(path: &Path, form: LogForm) -> io::Result<Log> {
    let format = match form {
        LogForm::Combined => Format::Combined,
        LogForm::Json => Format::Json,
    };
    let writer = if path == Path::new("-") {
        AccessLogWriter::spawn(io::stdout())?
    } else {
        let file = FileSink::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot open access log {}: {error}", path.display()))
        })?;
        AccessLogWriter::spawn(file)?
    };
    Ok(Log { format, writer })
}

impl Log {
    /// The layer that writes it.
    pub(crate) fn layer(&self) -> AccessLogLayer {
        AccessLogLayer::new(self.format, self.writer.clone())
    }

    /// Opens the file anew.
    pub(crate) fn reopen(&self) {
        self.writer.reopen();
    }
}
