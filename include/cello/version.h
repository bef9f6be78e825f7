/* The version of Cello: the build and the Python package read it from here. */
#ifndef CELLO_VERSION_H
#define CELLO_VERSION_H

#define CELLO_VERSION "0.1.0"

#endif
