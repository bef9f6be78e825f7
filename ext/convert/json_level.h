/* Everything that is compiled once per cpu level; included by json_<level>.c, which define
 * CL_LEVEL. */
#include <math.h>

#include "convert/dict_walk.h"
#include "convert/json_decode_internal.h"
#include "convert/json_encode_internal.h"
#include "json/double.h"
#include "json/escape.h"
#include "json/integer.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/simd.h"
#include "json/transcode.h"
#include "json/unescape.h"

CL_SIMD_BEGIN
#include "convert/json_decode_text.h"

#include "convert/json_decode_impl.h"

#include "convert/json_encode_text.h"

#include "convert/json_encode_impl.h"
CL_SIMD_END
