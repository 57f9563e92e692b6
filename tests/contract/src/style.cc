#include "style.h"

#include <algorithm>
#include <cctype>

namespace rookery::contract {

namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::ServiceDescriptor;

std::string SnakeOf(const std::string& name, bool upper) {
  std::string snake;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto c = static_cast<unsigned char>(name[i]);
    if (std::isupper(c) && i > 0) snake += '_';
    snake += static_cast<char>(upper ? std::toupper(c) : std::tolower(c));
  }
  return snake;
}

bool IsLowerSnake(const std::string& name) {
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::islower(c) || std::isdigit(c) || c == '_'; });
}

class Checker {
 public:
  std::vector<std::string> breaches;

  void Check(const FileDescriptor& file) {
    std::string directory = file.name().substr(0, file.name().rfind('/'));
    std::replace(directory.begin(), directory.end(), '/', '.');
    if (directory != file.package())
      Breach(file.name(), "its directory is not its package, " + file.package());
    if (!file.package().ends_with(".v1")) Breach(file.name(), "its package has no version");
    for (int i = 0; i < file.message_type_count(); ++i) Check(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) Check(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) Check(*file.service(i));
  }

 private:
  void Breach(const std::string& what, const std::string& how) { breaches.push_back(what + ": " + how); }

  void Check(const Descriptor& message) {
    for (int i = 0; i < message.field_count(); ++i)
      if (!IsLowerSnake(message.field(i)->name())) Breach(message.field(i)->full_name(), "is not snake_case");
    for (int i = 0; i < message.nested_type_count(); ++i) Check(*message.nested_type(i));
    for (int i = 0; i < message.enum_type_count(); ++i) Check(*message.enum_type(i));
  }

  void Check(const EnumDescriptor& values) {
    const std::string prefix = SnakeOf(values.name(), true) + "_";
    for (int i = 0; i < values.value_count(); ++i)
      if (!values.value(i)->name().starts_with(prefix))
        Breach(values.value(i)->full_name(), "lacks " + prefix);
    if (values.value(0)->number() != 0 || values.value(0)->name() != prefix + "UNSPECIFIED")
      Breach(values.full_name(), "0 is not " + prefix + "UNSPECIFIED");
  }

  void Check(const ServiceDescriptor& service) {
    if (!service.name().ends_with("Service")) Breach(service.full_name(), "is not called …Service");
    const std::string file = SnakeOf(service.name(), false) + ".proto";
    if (!service.file()->name().ends_with("/" + file)) Breach(service.full_name(), "is not in " + file);
    for (int i = 0; i < service.method_count(); ++i) {
      const auto& method = *service.method(i);
      if (method.input_type()->name() != method.name() + "Request" ||
          method.output_type()->name() != method.name() + "Response")
        Breach(method.full_name(), "its messages are not called after it");
    }
  }
};

}  // namespace

std::vector<std::string> StyleBreaches(const FileDescriptor& file) {
  Checker checker;
  checker.Check(file);
  return checker.breaches;
}

}  // namespace rookery::contract
