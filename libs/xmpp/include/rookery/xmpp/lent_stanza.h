#pragma once

#include "rookery/xmpp/stanza.h"

namespace rookery::xmpp {

/// Sets the field `stanza` of a protobuf message to one that stays its owner's, for as long as this
/// lives: a message that is only serialised needs no copy of it. The message must not be on an arena,
/// and must live longer than this.
template <typename Message>
class LentStanza {
 public:
  LentStanza(Message& message, const Stanza& stanza) : message_(message) {
    // Serialising writes nothing to it but its cached size.
    message_.unsafe_arena_set_allocated_stanza(const_cast<Stanza*>(&stanza));
  }
  ~LentStanza() { message_.unsafe_arena_release_stanza(); }
  LentStanza(const LentStanza&) = delete;
  LentStanza& operator=(const LentStanza&) = delete;

 private:
  Message& message_;
};

}  // namespace rookery::xmpp
