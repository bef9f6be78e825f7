#include "http/date.h"

#define SECONDS_PER_DAY 86400

static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_day_names[7] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                              "Thursday", "Friday", "Saturday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct civil {
    int year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour, minute, second;
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar. The year is taken to begin in March,
 * so that the leap day is its last; 400 years are 146,097 days. */
static int64_t days_from_civil(const struct civil *c) {
    int64_t y = c->month <= 2 ? c->year - 1 : c->year;
    int64_t era = y / 400; /* year 1 begins in March of year 0 at the earliest: never negative */
    int64_t year_of_era = y - era * 400;
    int64_t month = (c->month + 9) % 12;
    int64_t day_of_year = (153 * month + 2) / 5 + c->day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, struct civil *c) {
    int64_t z = days + 719468;
    int64_t era = z / 146097;
    int64_t day_of_era = z - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    c->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c->month = (int)(month < 10 ? month + 3 : month - 9);
    c->year = (int)(year_of_era + era * 400 + (c->month <= 2));
}

static char *put2(char *p, int v) {
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
    return p + 2;
}

static char *put(char *p, const char *s, size_t n) {
    memcpy(p, s, n);
    return p + n;
}

void cl_http_date_format(time_t t, char out[CL_HTTP_DATE_LEN + 1]) {
    const int64_t first = -62135596800; /* 0001-01-01 00:00:00 */
    const int64_t last = 253402300799;  /* 9999-12-31 23:59:59 */
    int64_t s = CL_MAX(CL_MIN((int64_t)t, last), first);
    int64_t days = s / SECONDS_PER_DAY, rest = s % SECONDS_PER_DAY;
    if (rest < 0) {
        rest += SECONDS_PER_DAY;
        days--;
    }
    struct civil c;
    civil_from_days(days, &c);
    int64_t weekday = ((days + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */

    char *p = put(out, day_names[weekday], 3);
    p = put2(put(p, ", ", 2), c.day);
    *p++ = ' ';
    p = put(p, month_names[c.month - 1], 3);
    *p++ = ' ';
    p = put2(put2(p, c.year / 100), c.year % 100);
    *p++ = ' ';
    p = put2(p, (int)(rest / 3600));
    *p++ = ':';
    p = put2(p, (int)(rest / 60 % 60));
    *p++ = ':';
    p = put2(p, (int)(rest % 60));
    put(p, " GMT", 5);
}

/* ---- parsing: each take_* moves the cursor over what it names, or returns false ---- */

static bool take(struct cl_str *s, const char *literal, size_t n) {
    if (s->len < n || memcmp(s->ptr, literal, n) != 0)
        return false;
    *s = cl_str(s->ptr + n, s->len - n);
    return true;
}

static bool take_number(struct cl_str *s, size_t digits, int *out) {
    if (s->len < digits)
        return false;
    int v = 0;
    for (size_t i = 0; i < digits; i++) {
        unsigned digit = (unsigned char)s->ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = v * 10 + (int)digit;
    }
    *s = cl_str(s->ptr + digits, s->len - digits);
    *out = v;
    return true;
}

static bool take_month(struct cl_str *s, int *month) {
    for (int i = 0; i < 12; i++) {
        if (take(s, month_names[i], 3)) {
            *month = i + 1;
            return true;
        }
    }
    return false;
}

static bool take_time(struct cl_str *s, struct civil *c) {
    return take_number(s, 2, &c->hour) && take(s, ":", 1) && take_number(s, 2, &c->minute) &&
           take(s, ":", 1) && take_number(s, 2, &c->second);
}

/* "06 Nov 1994 08:49:37 GMT" behind "Sun, " */
static bool parse_imf(struct cl_str s, struct civil *c) {
    return take_number(&s, 2, &c->day) && take(&s, " ", 1) && take_month(&s, &c->month) &&
           take(&s, " ", 1) && take_number(&s, 4, &c->year) && take(&s, " ", 1) &&
           take_time(&s, c) && take(&s, " GMT", 4) && s.len == 0;
}

/* "06-Nov-94 08:49:37 GMT" behind "Sunday, " */
static bool parse_rfc850(struct cl_str s, struct civil *c) {
    return take_number(&s, 2, &c->day) && take(&s, "-", 1) && take_month(&s, &c->month) &&
           take(&s, "-", 1) && take_number(&s, 2, &c->year) && take(&s, " ", 1) &&
           take_time(&s, c) && take(&s, " GMT", 4) && s.len == 0;
}

/* "Nov  6 08:49:37 1994" behind "Sun " */
static bool parse_asctime(struct cl_str s, struct civil *c) {
    if (!take_month(&s, &c->month) || !take(&s, " ", 1))
        return false;
    bool one_digit = take(&s, " ", 1);
    return take_number(&s, one_digit ? 1 : 2, &c->day) && take(&s, " ", 1) && take_time(&s, c) &&
           take(&s, " ", 1) && take_number(&s, 4, &c->year) && s.len == 0;
}

static bool civil_valid(const struct civil *c) {
    static const int month_days[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (c->year % 4 == 0 && c->year % 100 != 0) || c->year % 400 == 0;
    return c->year >= 1 && c->day >= 1 && c->day <= month_days[c->month - 1] &&
           (c->month != 2 || c->day < 29 || leap) && c->hour <= 23 && c->minute <= 59 &&
           c->second <= 60; /* a leap second */
}

static bool any_format(struct cl_str s, time_t now, struct civil *c) {
    for (int i = 0; i < 7; i++) {
        struct cl_str rest = s;
        if (take(&rest, long_day_names[i], strlen(long_day_names[i])) && take(&rest, ", ", 2)) {
            struct civil today;
            civil_from_days((int64_t)now / SECONDS_PER_DAY, &today);
            if (!parse_rfc850(rest, c))
                return false;
            c->year += today.year / 100 * 100;
            if (c->year > today.year + 50)
                c->year -= 100;
            return true;
        }
        rest = s;
        if (take(&rest, day_names[i], 3))
            return take(&rest, ", ", 2) ? parse_imf(rest, c)
                                        : take(&rest, " ", 1) && parse_asctime(rest, c);
    }
    return false;
}

int cl_http_date_parse(struct cl_str s, time_t now, time_t *out) {
    struct civil c;
    if (!any_format(s, now, &c) || !civil_valid(&c))
        return CELLO_EINVAL;
    *out =
        (time_t)(days_from_civil(&c) * SECONDS_PER_DAY + c.hour * 3600 + c.minute * 60 + c.second);
    return CELLO_OK;
}
