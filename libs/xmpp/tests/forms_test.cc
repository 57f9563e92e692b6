#include "rookery/xmpp/forms.h"

#include <gtest/gtest.h>

#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {
namespace {

absl::StatusOr<Form> Read(std::string_view xml) { return ReadForm(ParsePayload(xml)->front()); }

std::string Submit(std::string_view fields) {
  return "<x xmlns='jabber:x:data' type='submit'>" + std::string(fields) + "</x>";
}

TEST(Forms, AreReadAsTheirFieldsWithValues) {
  const auto form =
      Read(Submit("<title>t</title><field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
                  "<field type='fixed'><value>said to people</value></field>"
                  "<field var='name'><value>A Dark Cave</value></field>"
                  "<field var='owners' type='jid-multi'><value>a@b</value><value>c@d</value></field><field "
                  "var='none'/>"));
  ASSERT_TRUE(form.ok());
  EXPECT_EQ(form->type, "submit");
  EXPECT_EQ(form->form_type, "urn:x");
  ASSERT_EQ(form->fields.size(), 3u);
  EXPECT_EQ(form->Find("name")->Single(), "A Dark Cave");
  EXPECT_EQ(form->Find("owners")->values, (std::vector<std::string>{"a@b", "c@d"}));
  EXPECT_EQ(form->Find("owners")->Single(), std::nullopt);
  EXPECT_EQ(form->Find("none")->Single(), "");
  EXPECT_EQ(form->Find("FORM_TYPE"), nullptr);
}

TEST(Forms, ValuesAreReadByType) {
  FormField field;
  EXPECT_EQ(field.Boolean(), false);
  EXPECT_EQ(field.Number(), std::nullopt);
  const auto boolean = [](const char* text) { return FormField{.values = {text}}.Boolean(); };
  EXPECT_EQ(boolean("1"), true);
  EXPECT_EQ(boolean("true"), true);
  EXPECT_EQ(boolean("0"), false);
  EXPECT_EQ(boolean("false"), false);
  EXPECT_EQ(boolean(""), false);
  EXPECT_EQ(boolean("yes"), std::nullopt);
  EXPECT_EQ(boolean("TRUE"), std::nullopt);
  EXPECT_EQ((FormField{.values = {"1", "1"}}.Boolean()), std::nullopt);
  const auto number = [](const char* text) { return FormField{.values = {text}}.Number(); };
  EXPECT_EQ(number("0"), 0);
  EXPECT_EQ(number("9223372036854775807"), INT64_MAX);
  for (const char* wrong : {"", "-1", "+1", " 1", "1 ", "0x1", "9223372036854775808", "many"})
    EXPECT_EQ(number(wrong), std::nullopt) << wrong;
}

TEST(Forms, OfHostileShapeAreRefused) {
  EXPECT_FALSE(Read("<x xmlns='jabber:client' type='submit'/>").ok());
  EXPECT_FALSE(Read("<query xmlns='jabber:x:data' type='submit'/>").ok());
  EXPECT_FALSE(Read("<x xmlns='jabber:x:data'/>").ok());
  EXPECT_FALSE(Read("<x xmlns='jabber:x:data' type='surprise'/>").ok());
  EXPECT_FALSE(Read(Submit("<field><value>1</value></field>")).ok());
  EXPECT_FALSE(Read(Submit("<field var='a'/><field var='b'/><field var='a'/>")).ok());
  EXPECT_FALSE(Read(Submit("<field var='FORM_TYPE'/><field var='FORM_TYPE'/>")).ok());
  std::string fields;
  for (std::size_t i = 0; i < kMaxFormFields; ++i) fields += "<field var='f" + std::to_string(i) + "'/>";
  EXPECT_TRUE(Read(Submit(fields)).ok());
  EXPECT_FALSE(Read(Submit(fields + "<field var='one more'/>")).ok());
  std::string values;
  for (std::size_t i = 0; i < kMaxFormValues; ++i) values += "<value/>";
  EXPECT_TRUE(Read(Submit("<field var='a'>" + values + "</field>")).ok());
  EXPECT_FALSE(Read(Submit("<field var='a'>" + values + "</field><field var='b'><value/></field>")).ok());
}

TEST(Forms, AreWrittenWithTheirTypeFirst) {
  Form form{.type = "form", .title = "T", .instructions = "I", .form_type = "urn:x"};
  FormField& whois = form.Add("whois", "list-single", "Who?");
  whois.values = {"anyone"};
  whois.options = {{"Anyone", "anyone"}, {"Moderators", "moderators"}};
  form.Add("nick", "text-single", "Nick").is_required = true;
  FormField& slow = form.Add("slow", "text-single", "Slow");
  slow.description = "seconds";
  slow.least = 0;
  slow.values = {"20"};
  EXPECT_EQ(WriteForm(form).ToXml(),
            "<x xmlns=\"jabber:x:data\" type=\"form\"><title>T</title><instructions>I</instructions>"
            "<field var=\"FORM_TYPE\" type=\"hidden\"><value>urn:x</value></field>"
            "<field var=\"whois\" type=\"list-single\" label=\"Who?\"><value>anyone</value>"
            "<option label=\"Anyone\"><value>anyone</value></option>"
            "<option label=\"Moderators\"><value>moderators</value></option></field>"
            "<field var=\"nick\" type=\"text-single\" label=\"Nick\"><required/></field>"
            "<field var=\"slow\" type=\"text-single\" label=\"Slow\"><desc>seconds</desc>"
            "<validate xmlns=\"http://jabber.org/protocol/xdata-validate\" datatype=\"xs:integer\">"
            "<range min=\"0\"/></validate><value>20</value></field></x>");
}

TEST(Forms, WhatIsWrittenIsReadAgain) {
  Form form{.type = "submit", .form_type = "urn:x"};
  form.Add("a", {}).values = {"<1>", ""};
  const auto again = ReadForm(WriteForm(form));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->form_type, "urn:x");
  EXPECT_EQ(again->Find("a")->values, (std::vector<std::string>{"<1>", ""}));
}

TEST(Forms, ATableHasARowForEachItem) {
  const FormTable table{.title = "Hats",
                        .columns = {{.var = "uri", .type = "text-single"}, {.var = "title"}},
                        .rows = {{"urn:a", "A"}, {"urn:b", ""}}};
  EXPECT_EQ(WriteForm(table).ToXml(),
            "<x xmlns=\"jabber:x:data\" type=\"result\"><title>Hats</title><reported>"
            "<field var=\"uri\" type=\"text-single\"/><field var=\"title\"/></reported>"
            "<item><field var=\"uri\"><value>urn:a</value></field><field "
            "var=\"title\"><value>A</value></field></item>"
            "<item><field var=\"uri\"><value>urn:b</value></field><field "
            "var=\"title\"><value/></field></item></x>");
}

}  // namespace
}  // namespace rookery::xmpp
