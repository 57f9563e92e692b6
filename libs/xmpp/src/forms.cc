#include "rookery/xmpp/forms.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "absl/status/status.h"
#include "rookery/xmpp/ns.h"

namespace rookery::xmpp {

namespace {

constexpr std::string_view kFormType = "FORM_TYPE";
// XEP-0122.
constexpr std::string_view kValidation = "http://jabber.org/protocol/xdata-validate";
constexpr std::array<std::string_view, 4> kTypes = {"form", "submit", "cancel", "result"};

void AddValue(Element& parent, std::string_view value) {
  Element& element = parent.Add("value");
  if (!value.empty()) element.SetText(value);
}

void AddValidation(Element& element, const FormField& field) {
  if (field.is_open) element.Add("validate", kValidation).SetAttr("datatype", "xs:string").Add("open");
  if (!field.least && !field.most) return;
  Element& validation = element.Add("validate", kValidation).SetAttr("datatype", "xs:integer");
  Element& range = validation.Add("range");
  if (field.least) range.SetAttr("min", std::to_string(*field.least));
  if (field.most) range.SetAttr("max", std::to_string(*field.most));
}

void AddField(Element& parent, const FormField& field) {
  Element& element = parent.Add("field");
  if (!field.var.empty()) element.SetAttr("var", field.var);
  if (!field.type.empty()) element.SetAttr("type", field.type);
  if (!field.label.empty()) element.SetAttr("label", field.label);
  if (!field.description.empty()) element.Add("desc").SetText(field.description);
  if (field.is_required) element.Add("required");
  AddValidation(element, field);
  for (const std::string& value : field.values) AddValue(element, value);
  for (const FormOption& option : field.options) {
    Element& added = element.Add("option");
    if (!option.label.empty()) added.SetAttr("label", option.label);
    AddValue(added, option.value);
  }
}

}  // namespace

std::optional<bool> ParseBoolean(std::string_view text) {
  if (text == "1" || text == "true") return true;
  if (text == "0" || text == "false") return false;
  return std::nullopt;
}

std::optional<std::string_view> FormField::Single() const {
  if (values.size() > 1) return std::nullopt;
  return values.empty() ? std::string_view() : std::string_view(values.front());
}

std::optional<bool> FormField::Boolean() const {
  const std::optional<std::string_view> text = Single();
  if (!text) return std::nullopt;
  return text->empty() ? false : ParseBoolean(*text);
}

std::optional<std::int64_t> FormField::Number() const {
  const std::optional<std::string_view> text = Single();
  if (!text || text->empty() || text->front() < '0' || text->front() > '9') return std::nullopt;
  std::int64_t number = 0;
  const char* const end = text->data() + text->size();
  const auto [read, error] = std::from_chars(text->data(), end, number);
  if (error != std::errc() || read != end) return std::nullopt;
  return number;
}

const FormField* Form::Find(std::string_view var) const {
  const auto it =
      std::find_if(fields.begin(), fields.end(), [&](const FormField& field) { return field.var == var; });
  return it == fields.end() ? nullptr : &*it;
}

FormField& Form::Add(std::string_view var, std::string_view field_type, std::string_view label) {
  FormField& field = fields.emplace_back();
  field.var = var;
  field.type = field_type;
  field.label = label;
  return field;
}

absl::StatusOr<Form> ReadForm(const Element& x) {
  if (!x.Is("x", ns::kDataForms)) return absl::InvalidArgumentError("not a data form");
  Form form;
  form.type = x.Attr("type");
  if (std::find(kTypes.begin(), kTypes.end(), form.type) == kTypes.end())
    return absl::InvalidArgumentError("a data form of an unknown type");
  std::size_t value_count = 0;
  std::vector<std::string_view> names;
  for (const Element& child : x.children()) {
    if (!child.Is("field", ns::kDataForms)) continue;
    if (child.Attr("type") == "fixed") continue;
    FormField field;
    field.var = child.Attr("var");
    if (field.var.empty()) return absl::InvalidArgumentError("a field without a name");
    names.push_back(child.Attr("var"));
    if (names.size() > kMaxFormFields) return absl::InvalidArgumentError("too many fields");
    field.type = child.Attr("type");
    for (const Element& value : child.children()) {
      if (!value.Is("value", ns::kDataForms)) continue;
      if (++value_count > kMaxFormValues) return absl::InvalidArgumentError("too many values");
      field.values.push_back(value.Text());
    }
    if (field.var == kFormType) {
      form.form_type = field.values.empty() ? std::string() : std::move(field.values.front());
    } else {
      form.fields.push_back(std::move(field));
    }
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end())
    return absl::InvalidArgumentError("a field comes twice");
  return form;
}

Element WriteForm(const Form& form) {
  Element x("x", ns::kDataForms);
  x.SetAttr("type", form.type);
  if (!form.title.empty()) x.Add("title").SetText(form.title);
  if (!form.instructions.empty()) x.Add("instructions").SetText(form.instructions);
  if (!form.form_type.empty()) {
    FormField type{.var = std::string(kFormType), .values = {form.form_type}};
    if (form.type != "submit") type.type = "hidden";
    AddField(x, type);
  }
  for (const FormField& field : form.fields) AddField(x, field);
  return x;
}

Element WriteForm(const FormTable& table) {
  Element x("x", ns::kDataForms);
  x.SetAttr("type", "result");
  if (!table.title.empty()) x.Add("title").SetText(table.title);
  Element& reported = x.Add("reported");
  for (const FormField& column : table.columns) AddField(reported, column);
  for (const std::vector<std::string>& row : table.rows) {
    Element& item = x.Add("item");
    for (std::size_t i = 0; i < table.columns.size() && i < row.size(); ++i)
      AddField(item, FormField{.var = table.columns[i].var, .values = {row[i]}});
  }
  return x;
}

}  // namespace rookery::xmpp
