// Asio's own code, compiled here and nowhere else (see rookery_asio in
// libs/cmake/Targets.cmake).
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
