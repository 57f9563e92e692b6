#include "rookery/net/tls.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "net_fixture.h"
#include "rookery/net/client.h"
#include "rookery/testing/virtual_time.h"

namespace rookery::net {
namespace {

using std::chrono::milliseconds;

std::string PeerName(SSL* ssl) {
  X509* certificate = SSL_get0_peer_certificate(ssl);
  char name[256] = "";
  if (certificate != nullptr) {
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
  }
  return name;
}

class TlsTest : public NetTest {
 protected:
  void Listen(TlsOptions options, bool direct = true) {
    auto context = TlsContext::Create(std::move(options));
    ASSERT_TRUE(context.ok()) << context.status();
    context_ = *context;
    auto listener = Listener::Create(io_, {.address = "127.0.0.1:0", .direct_tls = direct, .tls = context_},
                                     [this](std::unique_ptr<Connection> c) { accepted_ = std::move(c); });
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = std::move(*listener);
  }
  void ListenWith(const std::string& name, const std::string& digest = "SHA256") {
    certificate_ = MakeCertificate(name, digest);
    Listen({.certificates = {{"", certificate_.certificate_file, certificate_.key_file}},
            .alpn = {"xmpp-client"},
            .client_ca_file = ""});
  }
  /// Connects `client` and goes through the handshake on both sides.
  void Establish(RawClient& client, const RawClient::Tls& options) {
    RunUntil([this] { return accepted_ != nullptr; });
    server_ = Recorder();
    connection_ = std::move(accepted_);
    connection_->Start(&server_);
    client.StartTls(options);
    RunUntil([&] { return (client.established && server_.established == 1) || client.eof; },
             [&] { client.Pump(); });
  }
  std::string address() const { return listener_->bound_address(); }

  TestCertificate certificate_;
  std::shared_ptr<TlsContext> context_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Connection> accepted_;
  Recorder server_;
  std::unique_ptr<Connection> connection_;
};

class TlsVersionTest : public TlsTest, public ::testing::WithParamInterface<int> {
 protected:
  int version() const { return GetParam(); }
};

INSTANTIATE_TEST_SUITE_P(Versions, TlsVersionTest, ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(TlsVersionTest, CarriesBytesAndTellsItsFacts) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = version(),
                     .max_version = version(),
                     .server_name = "example.org",
                     .alpn = {"xmpp-client"},
                     .certificate = {}});
  ASSERT_TRUE(client.established) << client.error;
  EXPECT_EQ(SSL_version(client.ssl), version());
  EXPECT_TRUE(connection_->is_tls());
  EXPECT_EQ(connection_->TlsPeerCertificateDer(), "");
  EXPECT_EQ(PeerName(client.ssl), "example.org");
  const unsigned char* alpn = nullptr;
  unsigned int alpn_size = 0;
  SSL_get0_alpn_selected(client.ssl, &alpn, &alpn_size);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(alpn), alpn_size), "xmpp-client");

  unsigned char exported[32];
  ASSERT_EQ(
      SSL_export_keying_material(client.ssl, exported, 32, "EXPORTER-Channel-Binding", 24, nullptr, 0, 0), 1);
  const std::string theirs(reinterpret_cast<const char*>(exported), 32);
  EXPECT_EQ(connection_->TlsExporter(), version() == TLS1_3_VERSION ? theirs : "");

  const std::string question(1'000'000, 'q'), answer(2'000'000, 'a');
  client.Send(question);
  connection_->Write(answer);
  RunUntil([&] { return client.in.size() == answer.size() && server_.data.size() == question.size(); },
           [&] { client.Pump(); });
  EXPECT_EQ(client.in, answer);
  EXPECT_EQ(server_.data, question);
  RunUntil([&] { return server_.drained >= 1; });
}

TEST_P(TlsVersionTest, ClosesInOrderBothWays) {
  ListenWith("example.org");
  {
    RawClient client(address());
    Establish(client, {.min_version = version(),
                       .max_version = version(),
                       .server_name = "",
                       .alpn = {},
                       .certificate = {}});
    connection_->Write("farewell");
    connection_->CloseAfterFlush();
    RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
    EXPECT_EQ(client.in, "farewell");
    EXPECT_TRUE(client.close_notify);
    client.Close();
    RunUntil([&] { return server_.closed.has_value(); });
    EXPECT_TRUE(server_.closed->ok());
  }
  {
    RawClient client(address());
    Establish(client, {.min_version = version(),
                       .max_version = version(),
                       .server_name = "",
                       .alpn = {},
                       .certificate = {}});
    client.Send("last");
    client.Pump();
    client.SendTlsClose();
    RunUntil([&] { return server_.closed.has_value(); });
    EXPECT_EQ(server_.data, "last");
    EXPECT_TRUE(server_.closed->ok()) << *server_.closed;
    client.Pump();
    EXPECT_TRUE(client.close_notify);
  }
}

TEST_P(TlsVersionTest, TruncationIsNotAnOrderlyClose) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(
      client,
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  client.Close();
  RunUntil([&] { return server_.closed.has_value(); });
  EXPECT_EQ(server_.closed->code(), absl::StatusCode::kUnavailable) << *server_.closed;
}

TEST_P(TlsVersionTest, StartTlsInMidConnection) {
  const TestCertificate certificate = MakeCertificate("example.org");
  Listen({.certificates = {{"", certificate.certificate_file, certificate.key_file}},
          .alpn = {},
          .client_ca_file = ""},
         false);
  RawClient client(address());
  RunUntil([this] { return accepted_ != nullptr; });
  connection_ = std::move(accepted_);
  server_.on_data = [&](std::string_view) {
    if (connection_->is_tls()) return;
    connection_->Write("<proceed/>");
    connection_->StartTls(context_);
    connection_->Write("first words under TLS");
  };
  connection_->Start(&server_);
  client.Send("<starttls/>");
  RunUntil([&] { return client.in == "<proceed/>"; }, [&] { client.Pump(); });
  EXPECT_FALSE(connection_->is_tls());
  client.in.clear();
  client.StartTls(
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  client.Send("secret");
  RunUntil([&] { return server_.data == "<starttls/>secret" && client.in == "first words under TLS"; },
           [&] { client.Pump(); });
  EXPECT_EQ(server_.established, 1);
}

TEST_P(TlsVersionTest, PausedReadingKeepsWhatOpenSslHasBuffered) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(
      client,
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  server_.on_data = [&](std::string_view) { connection_->PauseReading(); };
  const std::string sent(400'000, 'x');
  client.Send(sent);
  RunUntil([&] { return server_.reads == 1; }, [&] { client.Pump(); });
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
    client.Pump();
  }
  EXPECT_EQ(server_.reads, 1);
  while (server_.data.size() < sent.size()) {
    const int before = server_.reads;
    connection_->ResumeReading();
    RunUntil([&] { return server_.reads > before; }, [&] { client.Pump(); });
    if (HasFatalFailure()) return;
  }
  EXPECT_EQ(server_.data, sent);
}

TEST_P(TlsVersionTest, ReadRateHoldsUnderTls) {
  testing::VirtualTime time;
  ListenWith("example.org");
  RawClient client(address());
  Establish(
      client,
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  connection_->SetReadRate(200'000);
  client.Send(std::string(260'000, 'x'));
  // The last record has come in part.
  RunUntil([&] { return server_.data.size() >= 180'000; }, [&] { client.Pump(); });
  for (int i = 0; i < 20; ++i) {
    time.Settle(io_);
    client.Pump();
  }
  EXPECT_LE(server_.data.size(), 200'000u);
  time.JumpTo(time.Now() + milliseconds(500));
  RunUntil([&] { return server_.data.size() == 260'000; }, [&] { client.Pump(); });
}

TEST_P(TlsVersionTest, ReadRateCountsWhatIsAroundTheData) {
  testing::VirtualTime time;
  ListenWith("example.org");
  RawClient client(address());
  Establish(
      client,
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  connection_->SetReadRate(200'000);
  // More than twenty bytes each.
  const int records = 20'000;
  int sent = 0;
  const auto send_all = [&] {
    while (sent < records && SSL_write(client.ssl, "x", 1) == 1) ++sent;
  };
  RunUntil([&] { return server_.data.size() >= 5'000; }, send_all);
  for (int i = 0; i < 20; ++i) {
    time.Settle(io_);
    send_all();
  }
  EXPECT_LE(server_.data.size(), 10'000u);
  RunUntil([&] { return server_.data.size() == 20'000; },
           [&] {
             time.JumpTo(time.Now() + milliseconds(500));
             send_all();
           });
}

TEST_P(TlsVersionTest, MayBeDestroyedInEachCallback) {
  ListenWith("example.org");
  for (const std::string where : {"established", "data", "drained", "closed"}) {
    SCOPED_TRACE(where);
    RawClient client(address());
    RunUntil([this] { return accepted_ != nullptr; });
    connection_ = std::move(accepted_);
    server_ = Recorder();
    bool gone = false;
    const auto destroy = [&] {
      connection_.reset();
      gone = true;
    };
    if (where == "established") server_.on_established = destroy;
    if (where == "data") server_.on_data = [&](std::string_view) { destroy(); };
    if (where == "drained") server_.on_drained = destroy;
    if (where == "closed") server_.on_closed = destroy;
    connection_->Start(&server_);
    client.StartTls({.min_version = version(),
                     .max_version = version(),
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
    connection_->Write("queued before the handshake");
    client.Send("x");
    bool closing = false;
    RunUntil([&] { return gone; },
             [&] {
               client.Pump();
               if (where == "closed" && client.established && !closing) {
                 client.SendTlsClose();
                 closing = true;
               }
             });
    RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
    EXPECT_EQ(listener_->open_connections(), 0u);
  }
}

TEST_P(TlsVersionTest, SlowReaderUnderTls) {
  ListenWith("example.org");
  RawClient client(address(), 4096);
  Establish(
      client,
      {.min_version = version(), .max_version = version(), .server_name = "", .alpn = {}, .certificate = {}});
  client.reading = false;
  const std::string chunk(1024 * 1024, 'x');
  const int drained = server_.drained;
  for (int i = 0; i < 12; ++i) connection_->Write(chunk);
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
  }
  EXPECT_GT(connection_->queued_bytes(), 0u);
  // More while a record is half written: OpenSSL wants the same bytes again.
  connection_->Write(chunk);
  client.reading = true;
  RunUntil([&] { return client.in.size() == 13 * chunk.size(); }, [&] { client.Pump(); });
  RunUntil([&] { return server_.drained == drained + 1; });
  EXPECT_EQ(connection_->queued_bytes(), 0u);
}

TEST_P(TlsVersionTest, TicketResumesTheSession) {
  certificate_ = MakeCertificate("example.org");
  const TestCertificate romeo = MakeCertificate("romeo");
  Listen({.certificates = {{"", certificate_.certificate_file, certificate_.key_file}},
          .alpn = {"xmpp-client"},
          .client_ca_file = romeo.certificate_file});
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_use_certificate_file(context, romeo.certificate_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(context, romeo.key_file.c_str(), SSL_FILETYPE_PEM);
  SSL_CTX_set_min_proto_version(context, version());
  SSL_CTX_set_max_proto_version(context, version());
  SSL_SESSION* session = nullptr;
  for (const bool resumed : {false, true}) {
    RawClient client(address());
    RunUntil([this] { return accepted_ != nullptr; });
    server_ = Recorder();
    connection_ = std::move(accepted_);
    connection_->Start(&server_);
    client.ssl = SSL_new(context);
    SSL_set_fd(client.ssl, client.fd);
    SSL_set_connect_state(client.ssl);
    if (session != nullptr) SSL_set_session(client.ssl, session);
    connection_->Write("x");
    RunUntil([&] { return client.in == "x"; }, [&] { client.Pump(); });
    EXPECT_EQ(SSL_session_reused(client.ssl) == 1, resumed);
    // The certificates are known though the handshake did not send them.
    EXPECT_EQ(connection_->TlsServerEndPoint().size(), 32u);
    EXPECT_FALSE(connection_->TlsPeerCertificateDer().empty());
    if (session == nullptr) session = SSL_get1_session(client.ssl);
    SSL_shutdown(client.ssl);
  }
  SSL_SESSION_free(session);
  SSL_CTX_free(context);
}

TEST_F(TlsTest, OldVersionsAreRefused) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = TLS1_VERSION,
                     .max_version = TLS1_1_VERSION,
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
  EXPECT_FALSE(client.established);
  client.Close();
  RunUntil([&] { return server_.closed.has_value(); });
  EXPECT_FALSE(server_.closed->ok());
  EXPECT_EQ(server_.tls_failure, TlsFailure::kVersion);
}

TEST_F(TlsTest, ServerNamePicksTheCertificate) {
  const TestCertificate first = MakeCertificate("first.example"), second = MakeCertificate("second.example"),
                        wild = MakeCertificate("*.hosts.example");
  Listen({.certificates = {{"first.example", first.certificate_file, first.key_file},
                           {"Second.Example", second.certificate_file, second.key_file},
                           {"*.hosts.example", wild.certificate_file, wild.key_file}},
          .alpn = {},
          .client_ca_file = ""});
  const std::vector<std::pair<std::string, std::string>> cases = {{"", "first.example"},
                                                                  {"second.example", "second.example"},
                                                                  {"SECOND.example", "second.example"},
                                                                  {"a.hosts.example", "*.hosts.example"},
                                                                  {"a.b.hosts.example", "first.example"},
                                                                  {"hosts.example", "first.example"},
                                                                  {"other.example", "first.example"}};
  for (const auto& [name, expected] : cases) {
    SCOPED_TRACE(name);
    RawClient client(address());
    Establish(client,
              {.min_version = 0, .max_version = 0, .server_name = name, .alpn = {}, .certificate = {}});
    ASSERT_TRUE(client.established) << client.error;
    EXPECT_EQ(PeerName(client.ssl), expected);
  }
}

TEST_F(TlsTest, UnnamedCertificateIsTheDefaultWhereverItStands) {
  const TestCertificate first = MakeCertificate("first.example"), other = MakeCertificate("default.example");
  Listen({.certificates = {{"first.example", first.certificate_file, first.key_file},
                           {"", other.certificate_file, other.key_file}},
          .alpn = {},
          .client_ca_file = ""});
  RawClient client(address());
  Establish(client, {});
  EXPECT_EQ(PeerName(client.ssl), "default.example");
}

TEST_F(TlsTest, AlpnFollowsXep0368) {
  ListenWith("example.org");
  for (const auto& [offered, accepted] : std::vector<std::pair<std::vector<std::string>, bool>>{
           {{}, true}, {{"xmpp-client"}, true}, {{"h2", "xmpp-client"}, true}, {{"h2", "http/1.1"}, false}}) {
    RawClient client(address());
    Establish(client,
              {.min_version = 0, .max_version = 0, .server_name = "", .alpn = offered, .certificate = {}});
    EXPECT_EQ(client.established && client.error.empty(), accepted);
    if (!accepted) {
      EXPECT_NE(client.error.find("no application protocol"), std::string::npos) << client.error;
      RunUntil([&] { return server_.closed.has_value(); });
      EXPECT_EQ(server_.closed->code(), absl::StatusCode::kInvalidArgument);
      EXPECT_EQ(server_.tls_failure, TlsFailure::kAlpn);
    }
  }
}

class EndPointTest : public TlsTest,
                     public ::testing::WithParamInterface<std::pair<const char*, const char*>> {};

// RFC 5929 section 4.1: the signature's hash, SHA-256 in place of MD5 and SHA-1.
INSTANTIATE_TEST_SUITE_P(Digests, EndPointTest,
                         ::testing::Values(std::pair("SHA256", "SHA256"), std::pair("SHA384", "SHA384"),
                                           std::pair("SHA512", "SHA512"), std::pair("ED25519", "")));

TEST_P(EndPointTest, UsesTheHashOfTheSignature) {
  const auto [digest, expected] = GetParam();
  ListenWith("example.org", digest);
  RawClient client(address());
  Establish(client, {});
  ASSERT_TRUE(client.established) << client.error;
  std::string theirs;
  if (*expected != '\0') {
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    X509_digest(SSL_get0_peer_certificate(client.ssl), EVP_get_digestbyname(expected), hash, &size);
    theirs.assign(reinterpret_cast<const char*>(hash), size);
  }
  EXPECT_EQ(connection_->TlsServerEndPoint(), theirs);
}

TEST_F(TlsTest, ClientCertificateIsAskedForAndCheckedButNeverRequired) {
  const TestCertificate server = MakeCertificate("example.org"), known = MakeCertificate("romeo"),
                        stranger = MakeCertificate("mallory");
  Listen({.certificates = {{"", server.certificate_file, server.key_file}},
          .alpn = {},
          .client_ca_file = known.certificate_file});
  for (const TestCertificate& certificate : {TestCertificate(), known, stranger}) {
    RawClient client(address());
    Establish(
        client,
        {.min_version = 0, .max_version = 0, .server_name = "", .alpn = {}, .certificate = certificate});
    ASSERT_TRUE(client.established) << client.error;
    EXPECT_EQ(connection_->TlsPeerCertificateDer().empty(), certificate.key_file != known.key_file);
  }
}

TEST_F(TlsTest, GarbageInPlaceOfAHandshake) {
  ListenWith("example.org");
  RawClient client(address());
  RunUntil([this] { return accepted_ != nullptr; });
  connection_ = std::move(accepted_);
  connection_->Start(&server_);
  client.Send("<stream:stream xmlns='jabber:client'>");
  RunUntil([&] { return server_.closed.has_value(); }, [&] { client.Pump(); });
  EXPECT_EQ(server_.closed->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.tls_failure, TlsFailure::kNotTls);
  EXPECT_NE(server_.tls_detail, "");
  EXPECT_EQ(server_.data, "");
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
}

TEST_F(TlsTest, PeerThatLeavesInTheHandshake) {
  ListenWith("example.org");
  RawClient client(address());
  RunUntil([this] { return accepted_ != nullptr; });
  connection_ = std::move(accepted_);
  connection_->Start(&server_);
  client.Close();
  RunUntil([&] { return server_.closed.has_value(); });
  EXPECT_EQ(server_.closed->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server_.tls_failure, TlsFailure::kPeerClosed);
}

TEST_F(TlsTest, CloseDuringTheHandshakeEnds) {
  ListenWith("example.org");
  RawClient client(address());
  RunUntil([this] { return accepted_ != nullptr; });
  connection_ = std::move(accepted_);
  connection_->Start(&server_);
  connection_->Write("never sent");
  connection_->CloseAfterFlush(milliseconds(30));
  RunUntil([&] { return client.eof; }, [&] { client.Pump(); });
  EXPECT_EQ(client.in, "");
  client.Close();
  RunUntil([&] { return server_.closed.has_value(); });
}

TEST_F(TlsTest, RenegotiationIsRefused) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = TLS1_2_VERSION,
                     .max_version = TLS1_2_VERSION,
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
  SSL_renegotiate(client.ssl);
  SSL_do_handshake(client.ssl);
  client.Send("x");
  client.Pump();
  for (int i = 0; i < 20; ++i) {
    io_.restart();
    io_.poll();
    client.Pump();
  }
  EXPECT_EQ(server_.established, 1);
  EXPECT_EQ(SSL_num_renegotiations(client.ssl), 1);  // asked for
  EXPECT_EQ(SSL_is_init_finished(client.ssl) == 1 && client.error.empty() && server_.data == "x", false);
}

TEST_F(TlsTest, KeyUpdateIsAnswered) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = TLS1_3_VERSION,
                     .max_version = TLS1_3_VERSION,
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
  SSL_key_update(client.ssl, SSL_KEY_UPDATE_REQUESTED);
  client.Send("after the update");
  RunUntil([&] { return server_.data == "after the update"; }, [&] { client.Pump(); });
  connection_->Write("and back");
  RunUntil([&] { return client.in == "and back"; }, [&] { client.Pump(); });
}

/// So many KeyUpdates of the client, encrypted and not sent. It sends nothing else any more.
std::string TakeKeyUpdates(SSL* client, int count) {
  SSL_set0_wbio(client, BIO_new(BIO_s_mem()));
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    EXPECT_EQ(SSL_do_handshake(client), 1);
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(SSL_get_wbio(client), &data);
  return {data, static_cast<std::size_t>(size)};
}

TEST_F(TlsTest, AFloodOfKeyUpdatesIsClosed_AndKeepsNobodyElseWaiting) {
  const RawClient::Tls options = {.min_version = TLS1_3_VERSION,
                                  .max_version = TLS1_3_VERSION,
                                  .server_name = "",
                                  .alpn = {},
                                  .certificate = {}};
  ListenWith("example.org");
  RawClient flooder(address());
  RunUntil([this] { return accepted_ != nullptr; });
  Recorder flooded;
  std::unique_ptr<Connection> flooded_connection = std::move(accepted_);
  flooded_connection->Start(&flooded);
  flooder.StartTls(options);
  RunUntil([&] { return flooder.established && flooded.established == 1; }, [&] { flooder.Pump(); });
  RawClient bystander(address());
  Establish(bystander, options);

  const std::string flood = TakeKeyUpdates(flooder.ssl, 60'000);
  const int small = 16 * 1024;
  ::setsockopt(flooder.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  std::atomic<bool> is_over = false;
  std::atomic<std::size_t> sent = 0;
  // As fast as they are taken, so that the socket is never empty.
  std::thread sender([&] {
    while (sent < flood.size()) {
      ::pollfd wait{.fd = flooder.fd, .events = POLLOUT, .revents = 0};
      ::poll(&wait, 1, -1);
      const ssize_t n = ::send(flooder.fd, flood.data() + sent, flood.size() - sent, MSG_NOSIGNAL);
      if (n < 0 && errno != EAGAIN) break;
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    is_over = true;
  });
  RunUntil([&] { return sent > 0; });
  std::optional<std::size_t> sent_when_served;
  server_.on_data = [&](std::string_view) { sent_when_served = sent; };
  bystander.Send("hello");
  RunUntil([&] { return sent_when_served && (flooded.closed.has_value() || is_over); },
           [&] { bystander.Pump(); });
  flooded_connection.reset();
  sender.join();
  EXPECT_EQ(server_.data, "hello");
  EXPECT_LT(sent_when_served.value_or(flood.size()), flood.size());
  ASSERT_TRUE(flooded.closed.has_value());
  EXPECT_EQ(flooded.closed->code(), absl::StatusCode::kResourceExhausted) << *flooded.closed;
}

TEST_F(TlsTest, NewKeysNowAndThenAreFine) {
  testing::VirtualTime time;
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = TLS1_3_VERSION,
                     .max_version = TLS1_3_VERSION,
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
  for (std::size_t i = 1; i <= 200; ++i) {
    SSL_key_update(client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
    client.Send("x");
    RunUntil([&] { return server_.data.size() == i || server_.closed; }, [&] { client.Pump(); });
    time.JumpTo(time.Now() + std::chrono::seconds(1));
  }
  EXPECT_FALSE(server_.closed.has_value());
}

/// Records of a TLS 1.2 client as it would send them next, made from its keys: OpenSSL asks for one
/// renegotiation and waits for the answer.
class Tls12Writer {
 public:
  explicit Tls12Writer(SSL* client) {
    EXPECT_STREQ(SSL_get_cipher_name(client), "ECDHE-ECDSA-AES128-GCM-SHA256");
    unsigned char master[SSL_MAX_MASTER_KEY_LENGTH];
    const std::size_t master_size =
        SSL_SESSION_get_master_key(SSL_get0_session(client), master, sizeof master);
    // RFC 5246 section 6.3.
    std::string seed(SSL3_RANDOM_SIZE * 2, '\0');
    SSL_get_server_random(client, reinterpret_cast<unsigned char*>(seed.data()), SSL3_RANDOM_SIZE);
    SSL_get_client_random(client, reinterpret_cast<unsigned char*>(seed.data() + SSL3_RANDOM_SIZE),
                          SSL3_RANDOM_SIZE);
    seed.insert(0, "key expansion");
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, master_size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(), seed.size()),
        OSSL_PARAM_construct_end()};
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* context = EVP_KDF_CTX_new(kdf);
    unsigned char keys[40];
    EXPECT_EQ(EVP_KDF_derive(context, keys, sizeof keys, parameters), 1);
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    key_.assign(keys, keys + 16);
    salt_.assign(keys + 32, keys + 36);
  }

  /// RFC 5288 section 3.
  std::string Record(unsigned char type, const std::string& content) {
    std::string sequence;
    for (int shift = 56; shift >= 0; shift -= 8) sequence.push_back(static_cast<char>(sequence_ >> shift));
    ++sequence_;
    const std::string nonce = salt_ + sequence;
    const std::string header = {static_cast<char>(type), 3, 3};
    const std::string about = sequence + header + Size(content.size());
    std::string sealed(content.size() + 16, '\0');
    auto* out = reinterpret_cast<unsigned char*>(sealed.data());
    int size = 0;
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(context, EVP_aes_128_gcm(), nullptr, Bytes(key_), Bytes(nonce));
    EVP_EncryptUpdate(context, nullptr, &size, Bytes(about), static_cast<int>(about.size()));
    EVP_EncryptUpdate(context, out, &size, Bytes(content), static_cast<int>(content.size()));
    EVP_EncryptFinal_ex(context, out + size, &size);
    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, 16, out + content.size());
    EVP_CIPHER_CTX_free(context);
    return header + Size(sequence.size() + sealed.size()) + sequence + sealed;
  }

 private:
  static const unsigned char* Bytes(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }
  static std::string Size(std::size_t size) {
    return {static_cast<char>(size >> 8), static_cast<char>(size & 0xff)};
  }

  std::string key_;
  std::string salt_;
  std::uint64_t sequence_ = 1;  // the client's Finished was the first
};

TEST_F(TlsTest, AFloodOfRenegotiationsIsClosed) {
  ListenWith("example.org");
  RawClient client(address());
  Establish(client, {.min_version = TLS1_2_VERSION,
                     .max_version = TLS1_2_VERSION,
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
  Tls12Writer writer(client.ssl);
  const std::string client_hello("\x01\0\0\0", 4);
  std::string flood;
  for (int i = 0; i < 1'000; ++i) flood += writer.Record(SSL3_RT_HANDSHAKE, client_hello);
  std::size_t sent = 0;
  for (int i = 0; i < 100 && !server_.closed; ++i) {
    if (sent < flood.size()) {
      const ssize_t n = ::send(client.fd, flood.data() + sent, flood.size() - sent, MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<std::size_t>(n);
    }
    io_.restart();
    io_.poll();
  }
  ASSERT_TRUE(server_.closed.has_value());
  EXPECT_EQ(server_.closed->code(), absl::StatusCode::kResourceExhausted) << *server_.closed;
}

TEST_P(TlsVersionTest, DataBehindTheHandshakeIsNotLost) {
  ListenWith("example.org");
  for (int i = 0; i < 20; ++i) {
    RawClient client(address());
    RunUntil([this] { return accepted_ != nullptr; });
    server_ = Recorder();
    connection_ = std::move(accepted_);
    connection_->Start(&server_);
    client.StartTls({.min_version = version(),
                     .max_version = version(),
                     .server_name = "",
                     .alpn = {},
                     .certificate = {}});
    // Goes out right behind the client's Finished, before the server has seen that.
    client.Send("first words");
    RunUntil([&] { return server_.data == "first words"; }, [&] { client.Pump(); });
  }
}

TEST_F(TlsTest, CreateNamesTheFileThatIsWrong) {
  const TestCertificate good = MakeCertificate("example.org"), other = MakeCertificate("example.org");
  const std::string junk = directory() + "/junk.pem";
  std::ofstream(junk) << "junk";
  const auto create = [](const std::string& certificate, const std::string& key, const std::string& ca) {
    return TlsContext::Create({.certificates = {{"", certificate, key}}, .alpn = {}, .client_ca_file = ca})
        .status();
  };
  const std::string missing = directory() + "/missing.pem";
  EXPECT_TRUE(create(good.certificate_file, good.key_file, "").ok());
  for (const auto& [status, code, file] : {
           std::tuple(create(missing, good.key_file, ""), absl::StatusCode::kNotFound, missing),
           std::tuple(create(good.certificate_file, missing, ""), absl::StatusCode::kNotFound, missing),
           std::tuple(create(good.certificate_file, good.key_file, missing), absl::StatusCode::kNotFound,
                      missing),
           std::tuple(create(junk, good.key_file, ""), absl::StatusCode::kInvalidArgument, junk),
           std::tuple(create(good.certificate_file, junk, ""), absl::StatusCode::kInvalidArgument, junk),
           std::tuple(create(good.certificate_file, good.key_file, junk), absl::StatusCode::kInvalidArgument,
                      junk),
           std::tuple(create(good.certificate_file, other.key_file, ""), absl::StatusCode::kInvalidArgument,
                      other.key_file),
       }) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(status.message().find(file), absl::string_view::npos) << status;
  }
  EXPECT_FALSE(TlsContext::Create({}).ok());
}

TEST_F(TlsTest, ReloadServesTheNewCertificateAndKeepsTheOldOnAnError) {
  ListenWith("old.example");
  EXPECT_TRUE(context_->ReloadIfChanged().ok());
  RawClient before(address());
  Establish(before, {});
  EXPECT_EQ(PeerName(before.ssl), "old.example");
  const auto old_connection = std::move(connection_);

  const TestCertificate fresh = MakeCertificate("new.example");
  std::filesystem::rename(fresh.certificate_file, certificate_.certificate_file);
  // The key still is the old one's: nothing changes.
  EXPECT_EQ(context_->ReloadIfChanged().code(), absl::StatusCode::kInvalidArgument);
  RawClient between(address());
  Establish(between, {});
  EXPECT_EQ(PeerName(between.ssl), "old.example");

  std::filesystem::rename(fresh.key_file, certificate_.key_file);
  EXPECT_TRUE(context_->ReloadIfChanged().ok());
  RawClient after(address());
  Establish(after, {});
  EXPECT_EQ(PeerName(after.ssl), "new.example");

  old_connection->Write("still here");
  RunUntil([&] { return before.in == "still here"; }, [&] { before.Pump(); });
}

TEST_F(TlsTest, OurClientChecksTheServer) {
  certificate_ = MakeCertificate("example.org");
  Listen({.certificates = {{"", certificate_.certificate_file, certificate_.key_file}},
          .alpn = {"xmpp-client"},
          .client_ca_file = ""});
  for (const auto& [name, ca, ok] :
       {std::tuple("example.org", certificate_.certificate_file, true),
        std::tuple("example.com", certificate_.certificate_file, false),
        std::tuple("example.org", MakeCertificate("example.org").certificate_file, false)}) {
    auto context = TlsClientContext::Create({.ca_file = ca, .verify = true, .alpn = {"xmpp-client"}});
    ASSERT_TRUE(context.ok()) << context.status();
    std::unique_ptr<Connection> client;
    ConnectTcp(io_, address(), milliseconds(5000),
               [&](absl::StatusOr<std::unique_ptr<Connection>> c) { client = std::move(*c); });
    RunUntil([&] { return client != nullptr && accepted_ != nullptr; });
    server_ = Recorder();
    connection_ = std::move(accepted_);
    connection_->Start(&server_);
    Recorder recorder;
    client->Start(&recorder);
    StartTlsClient(*client, *context, name);
    client->Write("hello");
    RunUntil([&] { return server_.data == "hello" || recorder.closed.has_value(); });
    EXPECT_EQ(recorder.established == 1, ok);
    if (!ok) {
      EXPECT_EQ(recorder.closed->code(), absl::StatusCode::kInvalidArgument) << *recorder.closed;
    }
  }
}

}  // namespace
}  // namespace rookery::net
