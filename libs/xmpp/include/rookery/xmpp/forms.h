#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rookery/xmpp/element.h"

namespace rookery::xmpp {

/// Data forms (XEP-0004) as values. Pure functions, any thread.

/// Bounds of a form that somebody else has filled out: of its fields, and of the values of all of them.
inline constexpr std::size_t kMaxFormFields = 256;
inline constexpr std::size_t kMaxFormValues = 4096;

struct FormOption {
  std::string label = {};
  std::string value = {};
};

struct FormField {
  /// Empty: of a `fixed` field only.
  std::string var = {};
  /// XEP-0004 section 3.3. Empty: as the context says.
  std::string type = {};
  std::string label = {};
  std::vector<std::string> values = {};
  std::vector<FormOption> options = {};
  bool is_required = false;
  std::string description = {};
  /// XEP-0122: the field is an xs:integer of at least, and at most.
  std::optional<std::int64_t> least = {};
  std::optional<std::int64_t> most = {};
  /// XEP-0122: the field takes other values than its options, too.
  bool is_open = false;

  /// The only value, or empty where there is none; nullopt: there are several.
  std::optional<std::string_view> Single() const;
  /// The only value as a boolean; none is false, as XEP-0004 has it. nullopt: it is no boolean.
  std::optional<bool> Boolean() const;
  /// The only value as a number from 0 on, in digits alone. nullopt: it is none, or does not fit.
  std::optional<std::int64_t> Number() const;
};

struct Form {
  /// form, submit, cancel, result.
  std::string type = {};
  std::string title = {};
  std::string instructions = {};
  /// FORM_TYPE (XEP-0068). Empty: the form has none.
  std::string form_type = {};
  /// Without FORM_TYPE.
  std::vector<FormField> fields = {};

  const FormField* Find(std::string_view var) const;
  /// Adds a field and returns it, until the next is added.
  FormField& Add(std::string_view var, std::string_view type, std::string_view label = {});
};

/// Reads <x xmlns='jabber:x:data'/>: the fields with their values, without what is for people's eyes.
/// INVALID_ARGUMENT: it is no such element or has an unknown type, a field comes twice or has no name, or
/// there are more of them, or of values, than the bounds above.
absl::StatusOr<Form> ReadForm(const Element& x);
/// FORM_TYPE comes first and is hidden, unless the form is a `submit`.
Element WriteForm(const Form& form);

/// A table of results (section 3.4). Each row has a value for each column.
struct FormTable {
  std::string title = {};
  std::vector<FormField> columns = {};
  std::vector<std::vector<std::string>> rows = {};
};
Element WriteForm(const FormTable& table);

/// "0", "1", "true", "false".
std::optional<bool> ParseBoolean(std::string_view text);

}  // namespace rookery::xmpp
