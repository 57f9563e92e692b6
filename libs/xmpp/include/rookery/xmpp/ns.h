#pragma once

#include <string_view>

/// XML namespaces, named after the RFC's or XEP's word for what they mark.
namespace rookery::xmpp::ns {

inline constexpr std::string_view kClient = "jabber:client";
inline constexpr std::string_view kServer = "jabber:server";
inline constexpr std::string_view kStreams = "http://etherx.jabber.org/streams";
inline constexpr std::string_view kStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams";
inline constexpr std::string_view kStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas";
inline constexpr std::string_view kTls = "urn:ietf:params:xml:ns:xmpp-tls";
inline constexpr std::string_view kSasl = "urn:ietf:params:xml:ns:xmpp-sasl";
inline constexpr std::string_view kBind = "urn:ietf:params:xml:ns:xmpp-bind";
inline constexpr std::string_view kSession = "urn:ietf:params:xml:ns:xmpp-session";
inline constexpr std::string_view kFraming = "urn:ietf:params:xml:ns:xmpp-framing";
inline constexpr std::string_view kRoster = "jabber:iq:roster";
inline constexpr std::string_view kRosterVersioning = "urn:xmpp:features:rosterver";
inline constexpr std::string_view kPreApproval = "urn:xmpp:features:pre-approval";
inline constexpr std::string_view kRegister = "jabber:iq:register";
inline constexpr std::string_view kRegisterFeature = "http://jabber.org/features/iq-register";
inline constexpr std::string_view kStreamManagement = "urn:xmpp:sm:3";
inline constexpr std::string_view kPing = "urn:xmpp:ping";
inline constexpr std::string_view kDiscoInfo = "http://jabber.org/protocol/disco#info";
inline constexpr std::string_view kDiscoItems = "http://jabber.org/protocol/disco#items";
inline constexpr std::string_view kVersion = "jabber:iq:version";
inline constexpr std::string_view kTime = "urn:xmpp:time";
inline constexpr std::string_view kLast = "jabber:iq:last";
inline constexpr std::string_view kDelay = "urn:xmpp:delay";
// XEP-0091, which kDelay has replaced: <x/>.
inline constexpr std::string_view kLegacyDelay = "jabber:x:delay";
inline constexpr std::string_view kCarbons = "urn:xmpp:carbons:2";
inline constexpr std::string_view kCarbonsRules = "urn:xmpp:carbons:rules:0";
inline constexpr std::string_view kForward = "urn:xmpp:forward:0";
inline constexpr std::string_view kHints = "urn:xmpp:hints";
inline constexpr std::string_view kStanzaId = "urn:xmpp:sid:0";
inline constexpr std::string_view kCaps = "http://jabber.org/protocol/caps";
inline constexpr std::string_view kChatStates = "http://jabber.org/protocol/chatstates";
inline constexpr std::string_view kChatMarkers = "urn:xmpp:chat-markers:0";
inline constexpr std::string_view kReceipts = "urn:xmpp:receipts";
inline constexpr std::string_view kMucUser = "http://jabber.org/protocol/muc#user";
inline constexpr std::string_view kMuc = "http://jabber.org/protocol/muc";
inline constexpr std::string_view kMucAdmin = "http://jabber.org/protocol/muc#admin";
inline constexpr std::string_view kMucOwner = "http://jabber.org/protocol/muc#owner";
// A FORM_TYPE.
inline constexpr std::string_view kMucRequest = "http://jabber.org/protocol/muc#request";
inline constexpr std::string_view kMucSelfPing = "http://jabber.org/protocol/muc#self-ping-optimization";
inline constexpr std::string_view kMucAffiliations = "urn:xmpp:muc:affiliations:1";
inline constexpr std::string_view kOccupantId = "urn:xmpp:occupant-id:0";
inline constexpr std::string_view kRetract = "urn:xmpp:message-retract:1";
inline constexpr std::string_view kModerate = "urn:xmpp:message-moderate:1";
// XEP-0424 and XEP-0425 before version 0.3, as fastenings (XEP-0422).
inline constexpr std::string_view kRetractLegacy = "urn:xmpp:message-retract:0";
inline constexpr std::string_view kModerateLegacy = "urn:xmpp:message-moderate:0";
inline constexpr std::string_view kFastening = "urn:xmpp:fasten:0";
inline constexpr std::string_view kCorrection = "urn:xmpp:message-correct:0";
inline constexpr std::string_view kReactions = "urn:xmpp:reactions:0";
inline constexpr std::string_view kReferences = "urn:xmpp:reference:0";
inline constexpr std::string_view kMentions = "urn:xmpp:mmn:0";
inline constexpr std::string_view kAddresses = "http://jabber.org/protocol/address";
inline constexpr std::string_view kHats = "urn:xmpp:hats:0";
inline constexpr std::string_view kCommands = "http://jabber.org/protocol/commands";
inline constexpr std::string_view kArchive = "urn:xmpp:mam:2";
inline constexpr std::string_view kRsm = "http://jabber.org/protocol/rsm";
inline constexpr std::string_view kVcardTemp = "vcard-temp";
inline constexpr std::string_view kVcardUpdate = "vcard-temp:x:update";
inline constexpr std::string_view kDirectInvitation = "jabber:x:conference";
inline constexpr std::string_view kSaslChannelBinding = "urn:xmpp:sasl-cb:0";
inline constexpr std::string_view kStreamLimits = "urn:xmpp:stream-limits:0";
inline constexpr std::string_view kDataForms = "jabber:x:data";
inline constexpr std::string_view kEncryption = "urn:xmpp:eme:0";
inline constexpr std::string_view kOmemo = "urn:xmpp:omemo:2";
inline constexpr std::string_view kOmemoAxolotl = "eu.siacs.conversations.axolotl";
inline constexpr std::string_view kOpenPgp = "urn:xmpp:openpgp:0";
inline constexpr std::string_view kOpenPgpLegacy = "jabber:x:encrypted";
inline constexpr std::string_view kJingleMessage = "urn:xmpp:jingle-message:0";
inline constexpr std::string_view kXml = "http://www.w3.org/XML/1998/namespace";

}  // namespace rookery::xmpp::ns
