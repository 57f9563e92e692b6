#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "address.h"
#include "rookery/base/status.h"
#include "rookery/net/connection.h"
#include "tcp_core.h"

namespace rookery::net {
namespace {

using asio::ip::tcp;

constexpr int kBacklog = 4096;
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kRetryWithoutDescriptor{100};

/// Counts what is open; outlives the listener until its last connection is closed.
struct Counts {
  std::size_t open = 0;
  absl::flat_hash_map<NetworkKey, std::size_t> by_address;
};

class CountedLease final : public OpenLease {
 public:
  CountedLease(std::shared_ptr<Counts> counts, const NetworkKey* key)
      : counts_(std::move(counts)), by_address_(key != nullptr), key_(key != nullptr ? *key : NetworkKey{}) {
    ++counts_->open;
    if (by_address_) ++counts_->by_address[key_];
  }
  ~CountedLease() override {
    --counts_->open;
    if (!by_address_) return;
    const auto it = counts_->by_address.find(key_);
    if (--it->second == 0) counts_->by_address.erase(it);
  }
  CountedLease(const CountedLease&) = delete;
  CountedLease& operator=(const CountedLease&) = delete;

 private:
  std::shared_ptr<Counts> counts_;
  const bool by_address_;
  const NetworkKey key_;
};

/// Of a listening socket: the kernel gives each connection what it has (tcp(7)).
void SetOptions(int fd, const TcpKeepalive& keepalive) {
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  const int idle = static_cast<int>(keepalive.idle.count());
  const int interval = static_cast<int>(keepalive.interval.count());
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &keepalive.probes, sizeof keepalive.probes);
  // With a shorter one the kernel would give up after a single lost probe (tcp(7)).
  const auto user_timeout =
      static_cast<unsigned>((keepalive.idle + keepalive.probes * keepalive.interval).count()) * 1000U;
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
}

int OpenSpare() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

/// The accepting part; its pending wait shares it.
class Acceptor final : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(asio::io_context& io, ListenOptions options, Listener::OnAccept on_accept)
      : loop_(Loop::Of(io)),
        acceptor_(io),
        retry_(io),
        options_(std::move(options)),
        tls_(options_.direct_tls ? std::static_pointer_cast<ServerTlsContext>(options_.tls) : nullptr),
        on_accept_(std::move(on_accept)) {}
  ~Acceptor() { CloseSpare(); }

  absl::Status Open() {
    if (options_.direct_tls && options_.tls == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(options_.address, ": direct TLS needs a certificate"));
    }
    ROOKERY_ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ListenEndpoint(options_.address));
    boost::system::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    // `[::]` and an empty host serve IPv4 too.
    if (!error && endpoint.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(false), error);
    if (!error) SetOptions(acceptor_.native_handle(), options_.keepalive);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kBacklog, error);
    if (!error) acceptor_.non_blocking(true, error);
    if (!error) bound_ = FormatEndpoint(acceptor_.local_endpoint(error));
    if (error) {
      const std::string text = absl::StrCat("cannot listen on ", options_.address, ": ", error.message());
      if (error == boost::system::errc::permission_denied) return absl::PermissionDeniedError(text);
      if (error == boost::system::errc::address_not_available) return absl::InvalidArgumentError(text);
      return absl::UnavailableError(text);
    }
    spare_ = OpenSpare();
    Wait();
    return absl::OkStatus();
  }

  void Stop() {
    stopped_ = true;
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    CloseSpare();
  }

  void Pause() { paused_ = true; }

  void Resume() {
    if (!std::exchange(paused_, false) || stopped_ || waiting_) return;
    Wait();
  }

  const std::string& bound() const { return bound_; }
  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t refused() const { return refused_; }
  std::size_t open() const { return counts_->open; }

 private:
  void Wait() {
    if (waiting_ || paused_) return;
    waiting_ = true;
    acceptor_.async_wait(asio::socket_base::wait_read,
                         [self = shared_from_this()](const boost::system::error_code&) {
                           self->waiting_ = false;
                           if (!self->stopped_) self->AcceptTurn();
                         });
  }

  void AcceptTurn() {
    if (spare_ < 0) spare_ = OpenSpare();
    for (int i = 0; i < kAcceptsPerTurn && !stopped_ && !paused_; ++i) {
      sockaddr_storage address{};
      socklen_t size = sizeof address;
      const int fd = ::accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        Take(fd, address, size);
        continue;
      }
      switch (errno) {
        case EAGAIN:
          return Wait();
        case EMFILE:
        case ENFILE:
          if (!RefuseWithSpare()) return WaitForDescriptors();
          break;
        case ENOBUFS:
        case ENOMEM:
          return WaitForDescriptors();
        default:
          break;  // the connection died in the backlog
      }
    }
    if (!stopped_) Wait();
  }

  /// Without a free descriptor the backlog would fill and the wait would return at
  /// once for ever: one is kept to take a connection and close it.
  bool RefuseWithSpare() {
    if (spare_ < 0) return false;
    ::close(spare_);
    const int fd = ::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) {
      ::close(fd);
      ++refused_;
    }
    spare_ = OpenSpare();
    return fd >= 0;
  }

  void WaitForDescriptors() {
    waiting_ = true;
    retry_.expires_after(kRetryWithoutDescriptor);
    retry_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
      self->waiting_ = false;
      if (!self->stopped_) self->AcceptTurn();
    });
  }

  void Take(int fd, const sockaddr_storage& address, socklen_t size) {
    tcp::endpoint endpoint;
    std::memcpy(endpoint.data(), &address, std::min<std::size_t>(size, endpoint.capacity()));
    const tcp protocol = endpoint.protocol();
    const asio::ip::address peer = NormalAddress(endpoint.address());
    const NetworkKey key = NetworkOf(peer);
    if (counts_->open >= options_.max_connections || OverAddressLimit(key)) {
      ::close(fd);
      ++refused_;
      return;
    }
    TcpCore::Socket socket(loop_.io());
    boost::system::error_code error;
    socket.assign(protocol, fd, error);
    if (error) {
      ::close(fd);
      ++refused_;
      return;
    }
    ++accepted_;
    auto lease =
        std::make_shared<CountedLease>(counts_, options_.max_connections_per_address > 0 ? &key : nullptr);
    on_accept_(
        MakeConnection(std::make_shared<TcpCore>(loop_, std::move(socket), peer, std::move(lease)), tls_));
  }

  bool OverAddressLimit(const NetworkKey& key) const {
    if (options_.max_connections_per_address == 0) return false;
    const auto it = counts_->by_address.find(key);
    return it != counts_->by_address.end() && it->second >= options_.max_connections_per_address;
  }

  void CloseSpare() {
    if (spare_ >= 0) ::close(std::exchange(spare_, -1));
  }

  Loop& loop_;
  tcp::acceptor acceptor_;
  asio::steady_timer retry_;
  const ListenOptions options_;
  const std::shared_ptr<ServerTlsContext> tls_;
  const Listener::OnAccept on_accept_;
  const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
  std::string bound_;
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
  int spare_ = -1;
  bool stopped_ = false;
  bool paused_ = false;
  bool waiting_ = false;  // for a connection, or for descriptors
};

class ListenerImpl final : public Listener {
 public:
  explicit ListenerImpl(std::shared_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}
  ~ListenerImpl() override { acceptor_->Stop(); }
  void Stop() override { acceptor_->Stop(); }
  void Pause() override { acceptor_->Pause(); }
  void Resume() override { acceptor_->Resume(); }
  std::string bound_address() const override { return acceptor_->bound(); }
  std::uint64_t accepted() const override { return acceptor_->accepted(); }
  std::uint64_t refused() const override { return acceptor_->refused(); }
  std::size_t open_connections() const override { return acceptor_->open(); }

 private:
  std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Create(asio::io_context& io, ListenOptions options,
                                                           OnAccept on_accept) {
  auto acceptor = std::make_shared<Acceptor>(io, std::move(options), std::move(on_accept));
  ROOKERY_RETURN_IF_ERROR(acceptor->Open());
  return std::make_unique<ListenerImpl>(std::move(acceptor));
}

}  // namespace rookery::net
