/* Cello's C API in one include. See examples/c/hello.c. */
#ifndef CELLO_CELLO_H
#define CELLO_CELLO_H

#include <cello/app.h>
#include <cello/cluster.h>
#include <cello/connection.h>
#include <cello/diagnosis.h>
#include <cello/error.h>
#include <cello/file.h>
#include <cello/health.h>
#include <cello/http2.h>
#include <cello/limits.h>
#include <cello/multipart.h>
#include <cello/request.h>
#include <cello/response.h>
#include <cello/server.h>
#include <cello/service.h>
#include <cello/store.h>
#include <cello/str.h>
#include <cello/topics.h>
#include <cello/version.h>

#endif
