#!/usr/bin/env python3
"""Tests of check_settings.py on small trees. Run: python3 check_settings_test.py"""

import os
import tempfile
import unittest

import check_settings

SOURCE = """
void Config::Bind(config::Schema& schema) {
  schema.Bind("limits.bytes", &max_bytes,
              "what \\"one\\" may send; "
              "0: no limit", 0, 1 << 30);
  schema.BindChoice("limits.mode", &settings.mode, {"a", "b"}, "how");
  schema.BindSecret("key", &key, "a key, or ( none");
  schema.Bind("wait", &wait, kWait);
}
"""
HEADER = """
constexpr char kOther[] = "x";
struct Config {
  std::int64_t max_bytes = std::int64_t{2} << 10;
  std::string name, key;
  std::chrono::milliseconds wait{120'000};
};
struct Settings {
  std::string mode = "a";
};
"""
ROWS = """### s
| key | default | meaning |
|---|---|---|
| `limits.bytes` | `2048` | what "one" may send; 0: no limit |
| `limits.mode` | `a` | how (a, b) |
| `key` |  | a key, or ( none; secret |
| `wait` | `2m` | how long |
### elsewhere
| `limits.other` | `1` | of no table of settings |
"""


class CheckSettingsTest(unittest.TestCase):
    def check(self, readme=ROWS, source=SOURCE, header=HEADER):
        with tempfile.TemporaryDirectory() as root:
            files = {"README.md": readme, "services/s/src/config.cc": 'constexpr char kWait[] =\n    "how " "long";\n' + source,
                     "services/s/src/config.h": header,
                     "services/s/tests/config_test.cc": 'schema.Bind("of.a.test", &x, "");'}
            for path, text in files.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_settings.check(root)

    def assert_one(self, text, **files):
        breaches = self.check(**files)[1]
        self.assertEqual(len(breaches), 1, breaches)
        self.assertIn(text, breaches[0])

    def test_rows_that_say_the_same(self):
        self.assertEqual(self.check(), (4, []))

    def test_a_setting_without_row(self):
        self.assert_one("services/s/src/config.cc:10: missing: `wait`",
                        readme=ROWS.replace("| `wait` | `2m` | how long |\n", ""))
        self.assertIn("missing: `wait`", str(self.check(readme=ROWS.replace("### s", "### t"))))

    def test_a_row_without_setting(self):
        self.assert_one("README.md:8: unknown: nothing binds `wait.more`",
                        readme=ROWS.replace("### elsewhere", "| `wait.more` | `1s` | more |\n### elsewhere"))

    def test_another_meaning(self):
        self.assert_one("README.md:5: differs: `limits.mode` means: how (a, b)",
                        readme=ROWS.replace("how (a, b)", "how (a)"))
        self.assert_one("differs: `wait` means: how long", readme=ROWS.replace("how long", "How long"))

    def test_another_default(self):
        self.assert_one("README.md:4: default: that of `limits.bytes` is 2048", readme=ROWS.replace("2048", "2047"))
        self.assert_one("default: that of `wait` is 120000", readme=ROWS.replace("`2m`", "`2s`"))
        self.assert_one("default: that of `key` is ", readme=ROWS.replace("`key` |  |", "`key` | `x` |"))
        self.assert_one("default: that of `wait` is None", header=HEADER.replace("wait{120'000}", "wait{kWait}"))


if __name__ == "__main__":
    unittest.main()
