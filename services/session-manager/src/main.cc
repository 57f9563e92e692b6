#include "app.h"

int main(int argc, char** argv) { return rookery::app::Main<rookery::session_manager::App>(argc, argv); }
