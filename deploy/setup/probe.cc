// Compiled, not linked, by machine.py: is there a C++17 compiler with its standard library?
#include <optional>
#include <string>
std::optional<std::string> probe() { return std::string("here"); }
