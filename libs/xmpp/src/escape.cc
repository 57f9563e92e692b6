#include "escape.h"

#include <array>

#include "rookery/xmpp/element.h"

namespace rookery::xmpp {
namespace {

constexpr std::array<std::string_view, 10> kReplacements = {
    "", "&amp;", "&lt;", "&gt;", "&quot;", "&apos;", "&#9;", "&#10;", "&#13;", "\xEF\xBF\xBD",
};

// Index into kReplacements for each byte; 0 is to be left.
constexpr std::array<unsigned char, 256> MakeTable(bool attribute) {
  std::array<unsigned char, 256> table{};
  for (int c = 0; c < 0x20; ++c) table[c] = 9;
  table['&'] = 1;
  table['<'] = 2;
  table['>'] = 3;
  table['\t'] = attribute ? 6 : 0;
  table['\n'] = attribute ? 7 : 0;
  table['\r'] = 8;
  if (attribute) {
    table['"'] = 4;
    table['\''] = 5;
  }
  return table;
}

constexpr auto kTextTable = MakeTable(false);
constexpr auto kAttributeTable = MakeTable(true);

inline void Append(std::string& out, std::string_view text, const std::array<unsigned char, 256>& table) {
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned char replacement = table[static_cast<unsigned char>(text[i])];
    if (replacement == 0) [[likely]]
      continue;
    out.append(text, run, i - run);
    out.append(kReplacements[replacement]);
    run = i + 1;
  }
  out.append(text, run);
}

}  // namespace

void AppendText(std::string& out, std::string_view text) { Append(out, text, kTextTable); }

void AppendEscaped(std::string& out, std::string_view text) { Append(out, text, kAttributeTable); }

std::size_t EscapedSize(std::string_view text) {
  std::size_t size = text.size();
  for (const char c : text) {
    const unsigned char replacement = kAttributeTable[static_cast<unsigned char>(c)];
    if (replacement != 0) size += kReplacements[replacement].size() - 1;
  }
  return size;
}

}  // namespace rookery::xmpp
