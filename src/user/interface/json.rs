//! One JSON object a line, written field by field. A serializer would be a dependency for two shapes of object.

/// An object that is being written.
#[derive(Debug)]
pub struct Object(String);

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self(String::from("{"))
    }

    fn key(&mut self, key: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        quote(key, &mut self.0);
        self.0.push(':');
    }

    /// A text; bytes that are no UTF-8 become U+FFFD, since JSON has no bytes.
    #[must_use]
    pub fn text(mut self, key: &str, value: &[u8]) -> Self {
        self.key(key);
        quote(&String::from_utf8_lossy(value), &mut self.0);
        self
    }

    /// A text, or null.
    #[must_use]
    pub fn optional(mut self, key: &str, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.text(key, value),
            None => {
                self.key(key);
                self.0.push_str("null");
                self
            }
        }
    }

    /// A number, or null.
    #[must_use]
    pub fn number(mut self, key: &str, value: Option<u64>) -> Self {
        self.key(key);
        match value {
            Some(value) => self.0.push_str(&value.to_string()),
            None => self.0.push_str("null"),
        }
        self
    }

    /// Seconds, to the microsecond.
    #[must_use]
    pub fn seconds(mut self, key: &str, value: f64) -> Self {
        self.key(key);
        self.0.push_str(&format!("{value:.6}"));
        self
    }

    /// A truth.
    #[must_use]
    pub fn truth(mut self, key: &str, value: bool) -> Self {
        self.key(key);
        self.0.push_str(if value { "true" } else { "false" });
        self
    }

    /// The line, with its end.
    pub fn finish(mut self) -> String {
        self.0.push_str("}\n");
        self.0
    }
}

impl Default for Object {
    fn default() -> Self {
        Self::new()
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted() {
        let line = Object::new().text("a", b"x\"\\\n\x1b\xff").number("n", None).truth("t", true).finish();
        assert_eq!(line, "{\"a\":\"x\\\"\\\\\\n\\u001b\u{fffd}\",\"n\":null,\"t\":true}\n");
    }
}
