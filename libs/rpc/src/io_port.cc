#include "rookery/rpc/io_port.h"

#include <boost/asio/execution_context.hpp>
#include <vector>

namespace rookery::rpc {
namespace {

// Asio shuts its services down when the io_context is destroyed.
class IoPortService final : public asio::execution_context::service {
 public:
  using key_type = IoPortService;
  static asio::execution_context::id id;

  explicit IoPortService(asio::execution_context& context)
      : service(context), port_(std::make_shared<IoPort>(static_cast<asio::io_context&>(context))) {}

  const std::shared_ptr<IoPort>& port() const { return port_; }

 private:
  void shutdown() override { port_->Close(); }

  std::shared_ptr<IoPort> port_;
};

asio::execution_context::id IoPortService::id;

}  // namespace

std::shared_ptr<IoPort> IoPort::Of(asio::io_context& io) {
  // Not use_service<>(io_context&): that one is for services that know io_context.
  return asio::use_service<IoPortService>(static_cast<asio::execution_context&>(io)).port();
}

void IoPort::Strand(std::shared_ptr<void> object) {
  static std::mutex mutex;
  static auto* stranded = new std::vector<std::shared_ptr<void>>;
  const std::lock_guard lock(mutex);
  stranded->push_back(std::move(object));
}

void IoPort::Close() {
  const std::lock_guard lock(mutex_);
  io_ = nullptr;
}

}  // namespace rookery::rpc
