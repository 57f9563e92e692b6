#include "sax.h"

namespace rookery::xmpp {
ExpatHandle MakeExpat() {
  ExpatHandle parser(XML_ParserCreate("UTF-8"));
  if (!parser) return parser;
#ifdef ROOKERY_EXPAT_HAS_REPARSE_DEFERRAL
  // It would hold a finished stanza back until more bytes come. XmlWorker has its own
  // guard against large tokens in small pieces.
  XML_SetReparseDeferralEnabled(parser.get(), XML_FALSE);
#endif
  XML_Parse(parser.get(), kByteOrderMark.data(), static_cast<int>(kByteOrderMark.size()), 0);
  return parser;
}

}  // namespace rookery::xmpp
