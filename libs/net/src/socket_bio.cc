#include "socket_bio.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace rookery::net {
namespace {

TlsSocket& SocketOf(BIO* bio) { return *static_cast<TlsSocket*>(BIO_get_data(bio)); }

bool IsRetry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int Write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(SocketOf(bio).descriptor, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && IsRetry(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int Read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  TlsSocket& socket = SocketOf(bio);
  const std::size_t wanted = std::min(static_cast<std::size_t>(size), socket.may_read);
  if (wanted == 0) {
    BIO_set_retry_read(bio);
    errno = EAGAIN;
    return -1;
  }
  const ssize_t n = ::recv(socket.descriptor, data, wanted, 0);
  if (n < 0 && IsRetry(errno)) BIO_set_retry_read(bio);
  if (n == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  if (n > 0) {
    socket.may_read -= static_cast<std::size_t>(n);
    socket.taken += static_cast<std::size_t>(n);
  }
  return static_cast<int>(n);
}

long Control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

BIO_METHOD* Method() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rookery socket");
    BIO_meth_set_write(m, &Write);
    BIO_meth_set_read(m, &Read);
    BIO_meth_set_ctrl(m, &Control);
    return m;
  }();
  return method;
}

}  // namespace

BIO* NewSocketBio(TlsSocket& socket) {
  BIO* bio = BIO_new(Method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &socket);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace rookery::net
