#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

namespace rookery::gateway {

/// A first-in first-out queue that owns no memory while it is empty: an idle session
/// has several of them, and an empty std::deque weighs half a kilobyte.
template <typename T>
class Ring {
 public:
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { Clear(); }

  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return slots_[(head_ + i) & (capacity_ - 1)]; }
  const T& operator[](std::size_t i) const { return slots_[(head_ + i) & (capacity_ - 1)]; }
  T& front() { return (*this)[0]; }

  T& PushBack(T value) {
    if (size_ == capacity_) Grow();
    T* slot = &slots_[(head_ + size_) & (capacity_ - 1)];
    new (slot) T(std::move(value));
    ++size_;
    return *slot;
  }

  void PopFront() {
    slots_[head_].~T();
    head_ = (head_ + 1) & (capacity_ - 1);
    if (--size_ == 0) Release();
  }

  void Clear() {
    while (size_ > 0) PopFront();
  }

 private:
  void Grow() {
    const std::uint32_t capacity = capacity_ == 0 ? 4 : capacity_ * 2;
    T* slots = std::allocator<T>().allocate(capacity);
    for (std::uint32_t i = 0; i < size_; ++i) {
      T& old = (*this)[i];
      new (&slots[i]) T(std::move(old));
      old.~T();
    }
    Release();
    slots_ = slots;
    capacity_ = capacity;
  }

  void Release() {
    if (slots_ != nullptr) std::allocator<T>().deallocate(slots_, capacity_);
    slots_ = nullptr;
    capacity_ = 0;
    head_ = 0;
  }

  T* slots_ = nullptr;
  std::uint32_t capacity_ = 0;  // a power of two, or 0
  std::uint32_t head_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace rookery::gateway
