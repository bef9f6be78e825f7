#include "http/mime.h"

enum { EXTENSION_MAX = 11 };

struct mime {
    char extension[EXTENSION_MAX + 1];
    const char *type;
};

#define UTF8 "; charset=utf-8"

/* Sorted by extension, for a binary search; the test says so when it is not. The types are those of
 * the IANA registry and, where that has none, of the WHATWG's MIME Sniffing standard. */
static const struct mime TABLE[] = {
    {"3gp", "video/3gpp"},
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"apng", "image/apng"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bmp", "image/bmp"},
    {"br", "application/octet-stream"},
    {"bz2", "application/x-bzip2"},
    {"cjs", "text/javascript" UTF8},
    {"conf", "text/plain" UTF8},
    {"css", "text/css" UTF8},
    {"csv", "text/csv" UTF8},
    {"doc", "application/msword"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"geojson", "application/geo+json"},
    {"gif", "image/gif"},
    {"glb", "model/gltf-binary"},
    {"gltf", "model/gltf+json"},
    {"gz", "application/gzip"},
    {"heic", "image/heic"},
    {"htm", "text/html" UTF8},
    {"html", "text/html" UTF8},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", "text/calendar" UTF8},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", "text/javascript" UTF8},
    {"json", "application/json"},
    {"jsonl", "application/jsonl"},
    {"jsonld", "application/ld+json"},
    {"jxl", "image/jxl"},
    {"log", "text/plain" UTF8},
    {"m3u8", "application/vnd.apple.mpegurl"},
    {"m4a", "audio/mp4"},
    {"m4v", "video/mp4"},
    {"map", "application/json"},
    {"md", "text/markdown" UTF8},
    {"mid", "audio/midi"},
    {"mjs", "text/javascript" UTF8},
    {"mkv", "video/matroska"},
    {"mov", "video/quicktime"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpd", "application/dash+xml"},
    {"mpeg", "video/mpeg"},
    {"odp", "application/vnd.oasis.opendocument.presentation"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet"},
    {"odt", "application/vnd.oasis.opendocument.text"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"ppt", "application/vnd.ms-powerpoint"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"ttf", "font/ttf"},
    {"txt", "text/plain" UTF8},
    {"vtt", "text/vtt" UTF8},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xls", "application/vnd.ms-excel"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

static const char UNKNOWN[] = "application/octet-stream";

/* In lower case and with a NUL; empty: there is none that the table could have. */
static void extension_of(struct cl_str path, char out[EXTENSION_MAX + 1]) {
    size_t n = 0;
    out[0] = '\0';
    while (n < path.len && path.ptr[path.len - n - 1] != '.') {
        if (path.ptr[path.len - n - 1] == '/' || n == EXTENSION_MAX)
            return;
        n++;
    }
    if (n == path.len)
        return;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)cl_lower((unsigned char)path.ptr[path.len - n + i]);
    out[n] = '\0';
}

struct cl_str cl_mime_type(struct cl_str path) {
    char extension[EXTENSION_MAX + 1];
    extension_of(path, extension);
    size_t low = 0, high = CL_ARRAY_LEN(TABLE);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(extension, TABLE[middle].extension);
        if (order == 0)
            return cl_str(TABLE[middle].type, strlen(TABLE[middle].type));
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return cl_str(UNKNOWN, sizeof UNKNOWN - 1);
}
