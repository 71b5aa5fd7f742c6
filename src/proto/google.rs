//! Files that every definition can import beside those of `google/protobuf`.

/// The text of `google/api/http.proto` or `google/api/annotations.proto`: the fields that their numbers on the wire belong to.
pub(super) fn text(name: &str) -> Option<&'static str> {
    match name {
        "google/api/http.proto" => Some(HTTP),
        "google/api/annotations.proto" => Some(ANNOTATIONS),
        _ => None,
    }
}

const HTTP: &str = r#"
syntax = "proto3";
package google.api;
message Http {
  repeated HttpRule rules = 1;
  bool fully_decode_reserved_expansion = 2;
}
message HttpRule {
  string selector = 1;
  oneof pattern {
    string get = 2;
    string put = 3;
    string post = 4;
    string delete = 5;
    string patch = 6;
    CustomHttpPattern custom = 8;
  }
  string body = 7;
  string response_body = 12;
  repeated HttpRule additional_bindings = 11;
}
message CustomHttpPattern {
  string kind = 1;
  string path = 2;
}
"#;

const ANNOTATIONS: &str = r#"
syntax = "proto3";
package google.api;
import "google/api/http.proto";
import "google/protobuf/descriptor.proto";
extend google.protobuf.MethodOptions {
  HttpRule http = 72295728;
}
"#;
