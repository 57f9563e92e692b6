#pragma once

#include <string>
#include <string_view>

#include "ports/cluster.h"
#include "protocols/xmpp/stream_services.h"
#include "protocols/xmpp/stream_transport.h"
#include "rookery/xmpp/stanza.h"

namespace rookery::gateway {

/// XEP-0077 section 3.1.1: a client without an account asks for one on the stream on which
/// it will authenticate. Requests of a bound client to jabber:iq:register are answered by
/// its session-manager.
class Registration {
 public:
  Registration(const StreamServices& services, StreamTransport& transport, std::string_view domain)
      : services_(services), transport_(transport), domain_(domain) {}
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  /// Whether accounts may be made here: not where the password would go in clear, unless the operator allows
  /// that.
  bool is_open() const;
  /// A stanza before authentication. False: it has nothing to do with registration.
  bool Handle(const xmpp::Stanza& stanza);
  /// The client has been given the form: now a person types.
  bool form_sent() const { return form_sent_; }
  bool is_waiting() const { return request_ != 0; }

 private:
  void SendForm(const xmpp::Stanza& request);
  void Create(const xmpp::Stanza& request);
  void Reply(xmpp::Stanza answer);
  void Refuse(const xmpp::Stanza& request, xmpp::ErrorCondition condition);

  const StreamServices& services_;
  StreamTransport& transport_;
  const std::string domain_;
  xmpp::Stanza pending_;
  Cluster::RequestId request_ = 0;
  bool form_sent_ = false;
};

}  // namespace rookery::gateway
