#include "sax.h"

namespace rookery::xmpp {
namespace {

void Configure(XML_Parser parser) {
#ifdef ROOKERY_EXPAT_HAS_REPARSE_DEFERRAL
  // It would hold a finished stanza back until more bytes come. StreamParser has its
  // own guard against large tokens in small pieces.
  XML_SetReparseDeferralEnabled(parser, XML_FALSE);
#endif
  XML_Parse(parser, kByteOrderMark.data(), static_cast<int>(kByteOrderMark.size()), 0);
}

}  // namespace

ExpatHandle MakeExpat() {
  ExpatHandle parser(XML_ParserCreate("UTF-8"));
  if (parser) Configure(parser.get());
  return parser;
}

void ResetExpat(XML_Parser parser) {
  XML_ParserReset(parser, "UTF-8");
  Configure(parser);
}

}  // namespace rookery::xmpp
