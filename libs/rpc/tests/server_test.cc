#include "rookery/rpc/server.h"

#include <arpa/inet.h>
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rookery/session/v1/session_link_service.grpc.pb.h"

namespace rookery::rpc {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

bool Connects(const ClientOptions& options, const std::string& address) {
  const auto channel = MakeChannel(options, address);
  return channel->WaitForConnected(std::chrono::system_clock::now() + milliseconds(1'500));
}

/// A server of something: gRPC starts none of nothing.
absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options) {
  static std::deque<session::v1::SessionLinkService::CallbackService> services;
  return Server::Start(options, {&services.emplace_back()});
}

ServerOptions At(const char* address) {
  ServerOptions options;
  options.address = address;
  return options;
}

grpc::StatusCode AskReflection(const std::string& address) {
  grpc::GenericStub stub(MakeChannel(ClientOptions{}, address));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto stream =
      stub.PrepareCall(&context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  stream->StartCall(nullptr);
  queue.Next(&tag, &ok);
  stream->WritesDone(nullptr);
  queue.Next(&tag, &ok);
  grpc::Status status;
  stream->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  return status.error_code();
}

constexpr char kHealth[] = "/grpc.health.v1.Health/Check";
constexpr char kLink[] = "/rookery.session.v1.SessionLinkService/Link";

/// A call with an empty request.
grpc::Status Call(const ClientOptions& options, const std::string& address, const char* method,
                  grpc::ByteBuffer* response) {
  grpc::GenericStub stub(MakeChannel(options, address));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(3));
  grpc::CompletionQueue queue;
  const grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

grpc::StatusCode Ask(const ClientOptions& options, const std::string& address, const char* method) {
  grpc::ByteBuffer response;
  return Call(options, address, method, &response).error_code();
}

/// grpc.health.v1 by hand: field 1 of the answer is the status.
std::string Health(const std::string& address) {
  grpc::ByteBuffer response;
  const grpc::Status status = Call(ClientOptions{}, address, kHealth, &response);
  if (!status.ok()) return status.error_message();
  grpc::Slice slice;
  if (!response.DumpToSingleSlice(&slice).ok() || slice.size() < 2) return "odd";
  return slice.begin()[1] == 1 ? "serving" : "not serving";
}

/// An IPv4 address of this machine that is not loopback; empty without one.
std::string OwnAddress() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  std::string found;
  for (const ifaddrs* entry = all; entry != nullptr && found.empty(); entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    const in_addr address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr)->sin_addr;
    if ((ntohl(address.s_addr) >> 24) == 127) continue;
    char text[INET_ADDRSTRLEN];
    if (inet_ntop(AF_INET, &address, text, sizeof text) != nullptr) found = text;
  }
  freeifaddrs(all);
  return found;
}

TEST(ServerTest, TakesAFreePortAndTellsIt) {
  auto server = Start(ServerOptions{});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE((*server)->bound_address().starts_with("127.0.0.1:"));
  EXPECT_NE((*server)->bound_address(), "127.0.0.1:0");
  EXPECT_EQ((*server)->advertised_address(), (*server)->bound_address());
  EXPECT_TRUE(Connects(ClientOptions{}, (*server)->bound_address()));

  ServerOptions same;
  same.address = (*server)->bound_address();
  EXPECT_EQ(Start(same).status().code(), absl::StatusCode::kUnavailable);

  ServerOptions named;
  named.advertised_address = "10.0.0.7:9000";
  auto other = Start(named);
  ASSERT_TRUE(other.ok());
  EXPECT_EQ((*other)->advertised_address(), "10.0.0.7:9000");
}

TEST(ServerTest, WhatIsServedIsToldToNobody) {
  auto server = Start(ServerOptions{});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(AskReflection((*server)->bound_address()), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(ServerTest, BeyondThisMachineItListensWithTls_OrWhereToldSoInSoManyWords) {
  const auto wrong = [](const ServerOptions& options) {
    config::Problems problems;
    options.Validate(problems);
    std::string text;
    for (const std::string& line : problems.lines()) text += line;
    return text;
  };
  for (const char* address : {"127.0.0.1:0", "127.1.2.3:9000", "[::1]:9000", "localhost:9000"})
    EXPECT_EQ(wrong(At(address)), "") << address;
  for (const char* address :
       {"0.0.0.0:9000", "[::]:9000", "10.0.0.1:9000", "session-manager:9000", ":9000"}) {
    ServerOptions options = At(address);
    EXPECT_NE(wrong(options).find("rpc.insecure"), std::string::npos) << address;
    options.insecure = true;
    EXPECT_EQ(wrong(options), "");
    options.insecure = false;
    options.tls = {"/ca.pem", "/service.pem", "/service.key"};
    EXPECT_EQ(wrong(options), "");
  }
}

TEST(ServerTest, HealthFollowsReadiness) {
  auto server = Start(ServerOptions{});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ(Health((*server)->bound_address()), "not serving");
  (*server)->SetServing(true);
  EXPECT_EQ(Health((*server)->bound_address()), "serving");
  (*server)->SetServing(false);
  EXPECT_EQ(Health((*server)->bound_address()), "not serving");
  (*server)->Shutdown(milliseconds(0));
  (*server)->Shutdown(milliseconds(0));
}

/// A CA and certificates of it, made for the test.
class Authority {
 public:
  explicit Authority(const std::string& directory) : directory_(directory), key_(NewKey()) {
    certificate_ = Make("CN of the CA", key_.get(), key_.get(), nullptr, true);
    Write("ca.pem", certificate_.get(), nullptr);
  }

  TlsFiles Issue(const std::string& name, const std::string& dns) {
    const auto key = NewKey();
    const auto certificate = Make(dns, key.get(), key_.get(), certificate_.get(), false);
    Write(name + ".pem", certificate.get(), nullptr);
    Write(name + ".key", nullptr, key.get());
    return {directory_ + "/ca.pem", directory_ + "/" + name + ".pem", directory_ + "/" + name + ".key"};
  }

 private:
  struct Free {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using KeyPtr = std::unique_ptr<EVP_PKEY, Free>;
  using CertificatePtr = std::unique_ptr<X509, Free>;

  static KeyPtr NewKey() { return KeyPtr(EVP_EC_gen("P-256")); }

  static CertificatePtr Make(const std::string& name, EVP_PKEY* key, EVP_PKEY* signer, X509* issuer,
                             bool authority) {
    CertificatePtr certificate(X509_new());
    X509* x = certificate.get();
    X509_set_version(x, 2);
    static long serial = 1;
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(x), -3'600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3'600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer : x));
    const auto extend = [&](int id, const std::string& value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, id, value.c_str());
      X509_add_ext(x, extension, -1);
      X509_EXTENSION_free(extension);
    };
    if (authority) {
      extend(NID_basic_constraints, "critical,CA:TRUE");
    } else {
      extend(NID_subject_alt_name, "DNS:" + name);
    }
    X509_sign(x, signer, EVP_sha256());
    return certificate;
  }

  void Write(const std::string& name, X509* certificate, EVP_PKEY* key) {
    std::FILE* file = std::fopen((directory_ + "/" + name).c_str(), "w");
    if (certificate != nullptr) PEM_write_X509(file, certificate);
    if (key != nullptr) PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
  }

  std::string directory_;
  KeyPtr key_;
  CertificatePtr certificate_;
};

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "rookery-rpc-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(directory_ + "/ours");
    std::filesystem::create_directory(directory_ + "/theirs");
  }
  ~TlsTest() override { std::filesystem::remove_all(directory_); }

  /// Makes the options of a service, as its own certificate and settings say.
  static ClientOptions Client(TlsFiles tls, const std::string& callee) {
    ClientOptions options;
    options.tls = std::move(tls);
    options.service = callee;
    return options;
  }
  static ServerOptions Serving(TlsFiles tls, std::vector<std::string> callers) {
    ServerOptions options;
    options.tls = std::move(tls);
    options.callers = std::move(callers);
    return options;
  }

  std::string directory_;
};

TEST_F(TlsTest, OnlyOurOwnAreLetIn) {
  Authority ours(directory_ + "/ours");
  Authority theirs(directory_ + "/theirs");
  auto server = Start(Serving(ours.Issue("server", TlsName("session-manager")), {"gateway"}));
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = (*server)->bound_address();

  const ClientOptions client = Client(ours.Issue("client", TlsName("gateway")), "session-manager");
  EXPECT_TRUE(Connects(client, address));
  EXPECT_EQ(Ask(client, address, kLink), grpc::StatusCode::UNIMPLEMENTED) << "it is let in";
  EXPECT_FALSE(Connects(ClientOptions{}, address)) << "plain text";

  // Signed by somebody else, though it trusts our CA. In TLS 1.3 the server refuses it
  // after the client deems itself connected, so ask for something.
  ClientOptions stranger = Client(theirs.Issue("client", TlsName("gateway")), "session-manager");
  stranger.tls.ca_file = client.tls.ca_file;
  EXPECT_EQ(Ask(stranger, address, kHealth), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, WhatTakesThePlaceOfTheFilesHoldsForNewConnections) {
  Authority ours(directory_ + "/ours");
  Authority theirs(directory_ + "/theirs");
  const auto in_use = [&](TlsFiles files) {
    for (std::string* file : {&files.ca_file, &files.certificate_file, &files.key_file})
      *file = directory_ + "/current/" + std::filesystem::path(*file).filename().string();
    files.check_every = std::chrono::seconds(1);
    return files;
  };
  const TlsFiles server_files = in_use(ours.Issue("server", TlsName("session-manager")));
  const TlsFiles client_files = in_use(ours.Issue("client", TlsName("gateway")));
  std::filesystem::create_directory_symlink(directory_ + "/ours", directory_ + "/current");
  auto server = Start(Serving(server_files, {"gateway"}));
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = (*server)->bound_address();
  const ClientOptions client = Client(client_files, "session-manager");
  ASSERT_EQ(Ask(client, address, kHealth), grpc::StatusCode::OK);

  theirs.Issue("server", TlsName("session-manager"));
  const ClientOptions after = Client(theirs.Issue("client", TlsName("gateway")), "session-manager");
  ASSERT_EQ(Ask(after, address, kHealth), grpc::StatusCode::UNAVAILABLE);
  std::filesystem::create_directory_symlink(directory_ + "/theirs", directory_ + "/next");
  std::filesystem::rename(directory_ + "/next", directory_ + "/current");
  while (Ask(after, address, kHealth) != grpc::StatusCode::OK) continue;
  while (Ask(client, address, kHealth) != grpc::StatusCode::OK) continue;
}

TEST_F(TlsTest, AServerLetsInThoseWhoHaveBusinessWithIt) {
  Authority ours(directory_ + "/ours");
  auto server = Start(Serving(ours.Issue("server", TlsName("roster")), {"session-manager", "muc"}));
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string address = (*server)->bound_address();
  for (const auto& [name, status] :
       {std::pair(TlsName("session-manager"), grpc::StatusCode::UNIMPLEMENTED),
        std::pair(TlsName("muc"), grpc::StatusCode::UNIMPLEMENTED),
        std::pair(TlsName("gateway"), grpc::StatusCode::PERMISSION_DENIED),
        std::pair(TlsName("roster"), grpc::StatusCode::PERMISSION_DENIED),
        std::pair(std::string("session-manager"), grpc::StatusCode::PERMISSION_DENIED),
        std::pair(std::string("*.rookery.internal"), grpc::StatusCode::PERMISSION_DENIED)}) {
    const ClientOptions caller = Client(ours.Issue("caller", name), "roster");
    EXPECT_EQ(Ask(caller, address, kLink), status) << name;
    EXPECT_EQ(Ask(caller, address, kHealth), grpc::StatusCode::OK) << name;
  }
  // A server that forgets to say whom it serves serves nobody.
  auto closed = Start(Serving(ours.Issue("server", TlsName("roster")), {}));
  ASSERT_TRUE(closed.ok());
  EXPECT_EQ(Ask(Client(ours.Issue("caller", TlsName("session-manager")), "roster"),
                (*closed)->bound_address(), kLink),
            grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(TlsTest, ACallerTellsNothingToWhoeverIsNotTheServiceThatItCalls) {
  Authority ours(directory_ + "/ours");
  const TlsFiles gateway = ours.Issue("client", TlsName("gateway"));
  for (const char* name : {"www.example.org", "gateway.rookery.internal", "roster.rookery.internal"}) {
    auto impostor = Start(Serving(ours.Issue("impostor", name), {"gateway"}));
    ASSERT_TRUE(impostor.ok());
    EXPECT_EQ(Ask(Client(gateway, "session-manager"), (*impostor)->bound_address(), kHealth),
              grpc::StatusCode::UNAVAILABLE)
        << name;
  }
}

TEST(ServerTest, BeyondThisMachineItCallsWithTls_OrWhereToldSoInSoManyWords) {
  // Any address of another machine will do, if it can be listened at: gRPC is bound to all of ours, and
  // reached by one that is not loopback.
  const std::string own = OwnAddress();
  if (own.empty()) GTEST_SKIP() << "this machine has no address but loopback";
  ServerOptions options = At("0.0.0.0:0");
  options.insecure = true;
  auto server = Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string bound = (*server)->bound_address();
  const std::string address = own + bound.substr(bound.rfind(':'));
  EXPECT_FALSE(Connects(ClientOptions{}, address));
  EXPECT_EQ(Ask(ClientOptions{}, address, kHealth), grpc::StatusCode::UNAVAILABLE);
  ClientOptions trusting;
  trusting.insecure = true;
  EXPECT_TRUE(Connects(trusting, address));
}

TEST_F(TlsTest, WrongFilesAreToldByKeyBeforeTheStart) {
  Authority ours(directory_ + "/ours");
  Authority theirs(directory_ + "/theirs");
  const auto wrong = [](const TlsFiles& files) {
    config::Problems problems;
    files.Validate(problems);
    files.CheckFiles(problems);
    std::string text;
    for (const std::string& line : problems.lines()) text += line + "\n";
    return text;
  };
  const TlsFiles right = ours.Issue("server", TlsName("roster"));
  EXPECT_EQ(wrong(right), "");
  EXPECT_EQ(wrong({}), "");
  TlsFiles files = right;
  files.key_file = theirs.Issue("server", TlsName("roster")).key_file;
  EXPECT_NE(wrong(files).find("`rpc.tls.key-file` cannot be used"), std::string::npos) << wrong(files);
  files.key_file.clear();
  EXPECT_NE(wrong(files).find("`rpc.tls.key-file` is needed"), std::string::npos) << wrong(files);
  files = {"/nonexistent/ca.pem", "/nonexistent/cert.pem", "/nonexistent/key.pem"};
  EXPECT_NE(wrong(files).find("/nonexistent/ca.pem"), std::string::npos) << wrong(files);
  EXPECT_NE(wrong(files).find("`rpc.tls.certificate-file`"), std::string::npos) << wrong(files);
}

TEST_F(TlsTest, MissingFilesAreToldAtStart) {
  ServerOptions options;
  options.tls.ca_file = directory_ + "/none.pem";
  EXPECT_EQ(Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.tls.certificate_file = options.tls.key_file = options.tls.ca_file;
  const auto status = Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(status.message()).find("none.pem"), std::string::npos);
}

}  // namespace
}  // namespace rookery::rpc
