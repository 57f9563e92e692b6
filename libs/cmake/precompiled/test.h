// What most tests of a service include, parsed once.
#pragma once

#include "precompiled/service.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
