#include "app.h"

int main(int argc, char** argv) { return rookery::app::Main<rookery::roster::App>(argc, argv); }
