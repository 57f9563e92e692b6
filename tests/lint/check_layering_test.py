#!/usr/bin/env python3
"""Tests of check_layering.py on small trees. Run: python3 check_layering_test.py"""

import contextlib
import io
import os
import tempfile
import unittest

import check_layering

ORDER = "add_subdirectory(base)\nadd_subdirectory(xmpp)\nadd_subdirectory(runtime)\nadd_subdirectory(kafka)\n"


class CheckLayeringTest(unittest.TestCase):
    def breaches(self, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {"libs/CMakeLists.txt": ORDER, **files}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as file:
                    file.write(text)
            found = check_layering.Checker(root).run()
            with contextlib.redirect_stdout(io.StringIO()):
                self.assertEqual(check_layering.main([root]), 1 if found else 0)
            return found

    def assert_one(self, files, text):
        found = self.breaches(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_down_is_fine(self):
        self.assertEqual(self.breaches({
            "libs/kafka/src/a.cc": '#include <librdkafka/rdkafka.h>\n#include "a.h"\n#include "rookery/base/b.h"\n',
            "libs/kafka/src/a.h": '#include "rookery/events/v1/x.pb.h"\n',
            "libs/kafka/CMakeLists.txt": "rookery_library(kafka DEPS rookery::base)\n",
            "services/muc/src/app.cc": '#include "rookery/kafka/consumer.h"\n',
            "services/muc/src/domain/room.cc": '#include "domain/room.h"\n#include "rookery/xmpp/jid.h"\n',
            "services/muc/src/domain/room.h": '#include <string>\n#include "absl/strings/match.h"\n',
            "libs/kafka/tests/a_test.cc": '#include "rookery/testing/broker.h"\n',
        }), [])

    def test_domain_waits_with_what_does_no_io(self):
        for name in ("task", "timer", "event", "backoff"):
            self.assertEqual(self.breaches(
                {"services/muc/src/domain/a.cc": f'#include "rookery/runtime/{name}.h"\n'}), [])
        self.assert_one({"services/muc/src/domain/a.cc": '#include "rookery/runtime/server.h"\n'},
                        "domain/ must not include rookery/runtime/server.h")

    def test_git_file_of_a_work_tree_is_no_text_of_ours(self):
        self.assertEqual(self.breaches({".git": "gitdir: /" + "home/somebody/main/.git\n"}), [])

    def test_files_of_a_domain_include_each_other_in_no_circle(self):
        domain = "services/muc/src/domain/"
        line = {domain + "a.cc": '#include "domain/a.h"\n#include "domain/b.h"\n',
                domain + "b.cc": '#include "domain/b.h"\n#include "domain/c.h"\n',
                domain + "c.h": "#pragma once\n"}
        self.assertEqual(self.breaches(line), [])
        self.assert_one({**line, domain + "c.cc": '\n#include "domain/a.h"\n'},
                        domain + "c.cc:2: circle: a -> b -> c -> a")

    def test_folders_of_a_domain_include_those_that_stand_before_them(self):
        domain = "services/muc/src/domain/"
        tree = {domain + "README.md": "# domain\n1. `rooms/`: what they are\n2. `records/`: their life\n",
                domain + "clock.h": "#pragma once\n",
                domain + "rooms/room.h": '#include "domain/clock.h"\n',
                domain + "records/record.h": '#include "domain/rooms/room.h"\n#include "domain/records/cause.h"\n'}
        self.assertEqual(self.breaches(tree), [])
        self.assert_one({**tree, domain + "rooms/nick.cc": '\n#include "domain/records/record.h"\n'},
                        domain + "rooms/nick.cc:2: folders: rooms/ must not include domain/records/record.h")
        self.assert_one({**tree, domain + "name.h": '#include "domain/rooms/room.h"\n'},
                        domain + "name.h:1: folders: domain/ must not include domain/rooms/room.h")
        self.assert_one({**tree, domain + "lists/list.h": '#include "domain/clock.h"\n'},
                        domain + "README.md:1: folders: lists/ is not in its list")
        self.assert_one({**tree, domain + "README.md": tree[domain + "README.md"] + "3. `lists/`: gone\n"},
                        domain + "README.md:1: folders: there is no lists/")

    def test_a_domain_does_not_know_its_modules(self):
        files = {"services/muc/src/modules/b.h": "\n",
                 "services/muc/src/modules/a.cc": '#include "modules/b.h"\n#include "domain/c.h"\n'}
        self.assertEqual(self.breaches(files), [])
        self.assert_one({**files, "services/muc/src/domain/c.cc": '#include "modules/b.h"\n'},
                        "domain/ must not include modules/b.h")

    def test_include_upwards(self):
        self.assert_one({"libs/base/src/a.cc": '#include "rookery/xmpp/jid.h"\n'},
                        "libs/base/src/a.cc:1: order: base must not use xmpp")

    def test_link_upwards(self):
        self.assert_one({"libs/base/CMakeLists.txt": "\nrookery_library(base DEPS rookery::kafka)\n"},
                        "libs/base/CMakeLists.txt:2: order: base must not use kafka")

    def test_unknown_library(self):
        self.assert_one({"libs/base/src/a.cc": '#include "rookery/nowhere/x.h"\n'}, "belongs to no library")

    def test_library_that_is_not_listed(self):
        self.assert_one({"libs/extra/include/rookery/extra/x.h": "\n"}, "libs/extra is not in the list")

    def test_vendor_header_outside_its_library(self):
        self.assert_one({"services/muc/src/a.cc": "#include <hiredis/hiredis.h>\n"}, "vendor")
        self.assert_one({"libs/kafka/include/rookery/kafka/a.h": "#include <librdkafka/rdkafka.h>\n"}, "vendor")

    def test_domain_sees_little(self):
        self.assert_one({"services/muc/src/domain/a.cc": '#include "rookery/kafka/consumer.h"\n'}, "domain")
        self.assert_one({"services/muc/src/modules/a.cc": '#include "adapters/store.h"\n',
                         "services/muc/src/adapters/store.h": "\n"}, "domain")
        self.assert_one({"services/muc/src/domain/a.cc": '#include "rookery/roster/v1/x.grpc.pb.h"\n'}, "domain")
        self.assert_one({"services/muc/src/domain/a.cc": "#include <boost/asio/ip/tcp.hpp>\n"}, "domain")

    def test_fixtures_are_for_tests(self):
        self.assert_one({"libs/kafka/src/a.cc": '#include "rookery/testing/broker.h"\n'}, "testing")

    def test_services_do_not_share_code(self):
        self.assert_one({"services/muc/src/a.cc": '#include "domain/archive.h"\n',
                         "services/search/src/domain/archive.h": "\n"}, "private to services/search")
        self.assert_one({"services/muc/CMakeLists.txt": "rookery_service(muc DEPS rookery_search_core)\n",
                         "services/search/src/a.h": "\n"}, "links the service search")
        self.assert_one({"services/muc/src/a.cc": '#include "../../search/src/a.h"\n',
                         "services/search/src/a.h": "\n"}, "climbs out")

    def test_machine_path(self):
        self.assert_one({"README.md": "see /ho" "me/somebody/src\n"}, "README.md:1: path")
        self.assertEqual(self.breaches({"README.md": "https://host/ro" "ot/x $HOME/wo" "rk/x ./wo" "rk/x\n",
                                        ".local/x": "/ro" "ot/x\n"}), [])


if __name__ == "__main__":
    unittest.main()
