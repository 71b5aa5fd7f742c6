//! What the terminal is told of configurations.
use tollgate::gateway::ConfigEvent;
use tollgate::model::Finding;

/// What was said of configurations. Following the file begins with the content that was loaded, and what is in force
/// already is not told again.
#[derive(Default)]
pub(crate) struct Reports {
    last: String,
}

impl Reports {
    /// Says what became of a configuration, unless that is what was said last.
    pub(crate) fn add(&mut self, place: &str, event: &ConfigEvent) {
        let report = report(place, event);
        if report != self.last {
            eprint!("{report}");
            self.last = report;
        }
    }
}

/// What became of a configuration, in lines.
fn report(place: &str, event: &ConfigEvent) -> String {
    match event {
        ConfigEvent::Applied(status) => {
            let mut lines: String = status.findings.iter().map(|finding| line(place, finding)).collect();
            let kept = status.kept.iter().map(|faulty| (faulty, "the version before serves on"));
            let left_out = status.left_out.iter().map(|faulty| (faulty, "left out"));
            lines.extend(kept.chain(left_out).map(|(faulty, fate)| {
                let id = faulty.id.as_ref().map_or("without id", |id| id.as_str());
                format!("{place}: {} {id}: {fate}\n", faulty.kind)
            }));
            lines + &*format!("{place}: revision {} in force, {} routes\n", status.revision, status.routes)
        }
        ConfigEvent::Refused(error) => format!("{place}: {error}; the configuration before serves on\n"),
        ConfigEvent::SourceFailed(error) => format!("{error}; the configuration before serves on\n"),
        other => format!("{place}: {other:?}\n"),
    }
}

pub(crate) fn line(place: &str, finding: &Finding) -> String {
    format!("{place}: {}: {finding}\n", if finding.is_error() { "error" } else { "warning" })
}
