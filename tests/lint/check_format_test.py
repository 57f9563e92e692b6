#!/usr/bin/env python3
"""Tests of check_format.py on small trees. Run: python3 check_format_test.py"""

import os
import tempfile
import unittest

import check_format

GOOD = "int main() { return 0; }\n"
BAD = "int main()\n{ return 0; }\n"


class CheckFormatTest(unittest.TestCase):
    def breaches(self, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {".clang-format": "BasedOnStyle: Google\n", **files}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_format.check(root)

    def test_a_file_that_is_laid_out_is_fine(self):
        self.assertEqual(self.breaches({"libs/a/src/a.cc": GOOD, "services/b/tests/b.h": GOOD}), (2, []))

    def test_one_that_is_not_is_named_once_with_its_first_place(self):
        count, breaches = self.breaches({"libs/a/src/a.cc": GOOD + BAD + BAD, "libs/a/src/b.cc": GOOD})
        self.assertEqual(count, 2)
        self.assertEqual(len(breaches), 1, breaches)
        self.assertTrue(breaches[0].startswith("libs/a/src/a.cc:2: format: "), breaches)

    def test_nothing_to_check(self):
        self.assertEqual(self.breaches({"README.md": "words\n"}), (0, []))


if __name__ == "__main__":
    unittest.main()
