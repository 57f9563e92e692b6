#!/usr/bin/env python3
"""Tests of check_rules.py on small trees. Run: python3 check_rules_test.py"""

import os
import tempfile
import unittest

import check_rules

RULES = "# r\n\n- **W1.** One.\n- **SL2** Two,\n  which says more.\n- no rule\n"


class CheckRulesTest(unittest.TestCase):
    def check(self, files, not_yet=""):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                full = os.path.join(root, "services", "s", path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            return check_rules.check(root, {"s": not_yet})

    def assert_one(self, text, files, not_yet=""):
        breaches = self.check(files, not_yet)[1]
        self.assertEqual(len(breaches), 1, breaches)
        self.assertIn(text, breaches[0])

    def test_every_kind_of_test_counts(self):
        tests = "TEST_F(Delivery, W1_Something) {\n", "TYPED_TEST_P(Delivery, W1_Something) {\n", "TEST(\n    A, W1_B) {"
        for test in tests:
            files = {"README.md": RULES, "tests/a_test.cc": test, "tests/b.h": "TEST_P(X, SL2_Y) {\n"}
            self.assertEqual(self.check(files), (2, []))

    def test_a_rule_without_a_test(self):
        self.assert_one("services/s/README.md:3: untested: no test's name begins with W1_",
                        {"README.md": RULES, "tests/a_test.cc": "TEST(A, SL2_B) {\nTEST(A, W11_B) {\n// W1_C\n"})

    def test_one_that_has_none_yet(self):
        files = {"README.md": RULES, "tests/a_test.cc": "TEST(A, SL2_B) {\n"}
        self.assertEqual(self.check(files, "W1"), (2, []))
        self.assert_one("tested: SL2", files, "W1 SL2")
        self.assert_one("unknown: W9", files, "W1 W9")

    def test_one_number_for_two_rules(self):
        self.assert_one("src/README.md:1: twice: W1 is also a rule at services/s/README.md:3",
                        {"README.md": RULES, "src/README.md": "- **W1.** Another.\n",
                         "tests/a_test.cc": "TEST(A, W1_B) {\nTEST(A, SL2_B) {\n"})


if __name__ == "__main__":
    unittest.main()
