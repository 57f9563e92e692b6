// The headers that most tests of a service include, parsed once.
#pragma once

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "precompiled/service.h"
