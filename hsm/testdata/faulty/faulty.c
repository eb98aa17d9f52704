/*
 * A PKCS#11 module that forwards to another one and fails on command. It is for tests alone.
 *
 *   MOHOR_FAULTY_MODULE   the real module
 *   MOHOR_FAULTY_CONTROL  the control file; absent or empty means no fault
 *   MOHOR_FAULTY_LOG      when set, a line is appended for each call
 *
 * Build: cc -shared -fPIC -pthread -Wl,-z,nodelete -I <PKCS#11 headers> -o faulty.so faulty.c -ldl
 *
 * The control file is read at every call. Replace it by rename(2), or a half may be read. A line is
 *
 *   ID FAULT [ARGUMENT] [FUNCTION [N]]
 *
 * ID is a number from 1 to 65535 never used before in this control file; what happened already is
 * counted under it in MOHOR_FAULTY_CONTROL.state, which outlives C_Finalize and the process.
 * FUNCTION is a name such as C_Sign; "-" or nothing is every function but C_Initialize and
 * C_Finalize, and * is these too. N is "3" for the third call since the line appeared or "3+"
 * for that and all later ones; without it the faults marked 1 happen at the first call and the
 * others at every call. Lines are obeyed from top to bottom. A question for the length of an output
 * is neither counted nor logged; of the faults, it meets down, removed and disconnected.
 *
 *   down RV            the call is not forwarded and returns RV
 *   error RV           likewise, for use with a function and a number
 *   error-after RV   1 the call is forwarded, its result thrown away and RV returned
 *   wrong-signature  1 the call, always C_Sign, is forwarded and a bit of its output changed
 *   slow MS            the call is forwarded MS milliseconds later
 *   hang               the call is forwarded when the line is gone
 *   hang-after       1 the call is forwarded and returns when the line is gone
 *   removed            the token is gone: sessions are closed, no slot has a token, 0x32 and 0xE0
 *   disconnected RV    sessions are closed, and after the line is gone RV goes on until C_Finalize
 *                      and C_Initialize, as with a remote module whose server was started anew
 *   sessions-lost    1 all sessions are closed behind the caller's back
 *   logout           1 C_Logout behind the caller's back
 *   login            1 C_Logout and C_Login
 *   finalize         1 C_Finalize
 *   reinitialize     1 C_Finalize and C_Initialize
 *   segv             1 the process writes through a null pointer
 *   exit             1 the process ends with status 3
 *
 * A line of the log is: microseconds since 1970, process, function, what the real module returned
 * ("-" when it was not asked), what the caller was told, and the input of C_Sign in hexadecimal. When
 * a line of the control file is obeyed for the first time the function is "fault:" and the fault.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define CK_PTR *
#define NULL_PTR 0
#define CK_DEFINE_FUNCTION(returnType, name) returnType name
#define CK_DECLARE_FUNCTION(returnType, name) returnType name
#define CK_DECLARE_FUNCTION_POINTER(returnType, name) returnType (*name)
#define CK_CALLBACK_FUNCTION(returnType, name) returnType (*name)
#include "pkcs11.h"

#define IDS 65536
#define LINES 32

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CK_RV loaded = CKR_GENERAL_ERROR;
static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST list;
static const char *control;
static int logfile = -1;
static uint64_t *counts; /* by ID */

/* Calls hold it for reading while they are in the real module; what is done behind their back
 * holds it for writing, because a module may crash when a session is closed under a call. */
static pthread_rwlock_t inside = PTHREAD_RWLOCK_INITIALIZER;

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* what follows */
static CK_UTF8CHAR pin[256];
static CK_ULONG pin_len;
static CK_RV disconnected; /* not 0: every call returns it until C_Finalize */

struct line {
	unsigned id;
	char fault[24], function[32];
	unsigned long argument; /* RV or milliseconds */
	unsigned long n;        /* 0: any */
	int later;              /* "n+" */
};

struct call {
	const char *function;
	int query;        /* asks for a length */
	int stop;         /* not to be forwarded: told is the answer */
	int spoil;        /* change a bit of the output */
	int empty;        /* C_GetSlotList: no slot has a token */
	CK_RV told;       /* when stop or override */
	int override;     /* forward, then say told */
	unsigned wait_id; /* forward, then wait for this line to go */
};

static int takes_argument(const char *fault)
{
	return !strcmp(fault, "down") || !strcmp(fault, "error") || !strcmp(fault, "error-after") ||
	       !strcmp(fault, "slow") || !strcmp(fault, "disconnected");
}

/* single: faults that happen once unless the line says otherwise. */
static int single(const char *fault)
{
	static const char *const every[] = {"down", "error", "slow", "hang", "removed", "disconnected"};
	for (size_t i = 0; i < sizeof every / sizeof *every; i++)
		if (!strcmp(fault, every[i]))
			return 0;
	return 1;
}

static int parse(char *text, struct line *l)
{
	char *rest = NULL, *word = strtok_r(text, " \t", &rest);
	memset(l, 0, sizeof *l);
	if (!word || (l->id = (unsigned)strtoul(word, NULL, 10)) == 0 || l->id >= IDS)
		return 0;
	if (!(word = strtok_r(NULL, " \t", &rest)))
		return 0;
	snprintf(l->fault, sizeof l->fault, "%s", word);
	if (takes_argument(l->fault)) {
		l->argument = CKR_DEVICE_ERROR;
		if ((word = strtok_r(NULL, " \t", &rest)))
			l->argument = strtoul(word, NULL, 0);
	}
	if (!strcmp(l->fault, "wrong-signature"))
		strcpy(l->function, "C_Sign");
	if ((word = strtok_r(NULL, " \t", &rest)))
		snprintf(l->function, sizeof l->function, "%s", strcmp(word, "-") ? word : "");
	if ((word = strtok_r(NULL, " \t", &rest))) {
		char *end;
		l->n = strtoul(word, &end, 10);
		l->later = *end == '+';
	} else if (single(l->fault)) {
		l->n = 1;
	}
	return 1;
}

/* read_control gives the number of lines. */
static int read_control(struct line lines[LINES])
{
	char text[8192], *rest = NULL;
	int n = 0, fd = control ? open(control, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		return 0;
	ssize_t size = read(fd, text, sizeof text - 1);
	close(fd);
	if (size <= 0)
		return 0;
	text[size] = 0;
	for (char *t = strtok_r(text, "\n", &rest); t && n < LINES; t = strtok_r(NULL, "\n", &rest))
		n += parse(t, &lines[n]);
	return n;
}

static int line_present(unsigned id)
{
	struct line lines[LINES];
	int n = read_control(lines);
	for (int i = 0; i < n; i++)
		if (lines[i].id == id)
			return 1;
	return 0;
}

static void pause_ms(unsigned long ms)
{
	struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static void wait_until_gone(unsigned id)
{
	while (line_present(id))
		pause_ms(2);
}

/* What is done behind the caller's back. The lock is held for writing. */

static CK_ULONG slots(CK_SLOT_ID ids[16])
{
	CK_ULONG n = 16;
	return real->C_GetSlotList(CK_TRUE, ids, &n) == CKR_OK ? n : 0;
}

static void close_sessions(void)
{
	CK_SLOT_ID ids[16];
	CK_ULONG n = slots(ids);
	for (CK_ULONG i = 0; i < n; i++)
		real->C_CloseAllSessions(ids[i]);
}

static void log_out(int in_again)
{
	CK_SLOT_ID ids[16];
	CK_ULONG n = slots(ids);
	for (CK_ULONG i = 0; i < n; i++) {
		CK_SESSION_HANDLE s;
		if (real->C_OpenSession(ids[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &s) != CKR_OK)
			continue;
		if (real->C_Logout(s) == CKR_OK && in_again) {
			pthread_mutex_lock(&mu);
			real->C_Login(s, CKU_USER, pin, pin_len);
			pthread_mutex_unlock(&mu);
		}
		real->C_CloseSession(s);
	}
}

static void reinitialize(int again)
{
	CK_C_INITIALIZE_ARGS args;
	memset(&args, 0, sizeof args);
	args.flags = CKF_OS_LOCKING_OK;
	real->C_Finalize(NULL);
	if (again)
		real->C_Initialize(&args);
}

static int behind(const char *fault)
{
	int kind = !strcmp(fault, "sessions-lost") ? 1 : !strcmp(fault, "logout") ? 2 : !strcmp(fault, "login") ? 3 :
		   !strcmp(fault, "finalize") ? 4 : !strcmp(fault, "reinitialize") ? 5 : 0;
	if (!kind)
		return 0;
	pthread_rwlock_wrlock(&inside);
	if (kind == 1)
		close_sessions();
	else if (kind <= 3)
		log_out(kind == 3);
	else
		reinitialize(kind == 5);
	pthread_rwlock_unlock(&inside);
	return 1;
}

/* note appends a line to the log; when it cannot, the reader finds a line missing. */
static void note(const char *function, int asked, CK_RV rv, CK_RV told, const CK_BYTE *in, CK_ULONG in_len)
{
	char text[512];
	struct timespec t;
	if (logfile < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &t);
	int n = snprintf(text, sizeof text, "%lld %d %s ", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000, (int)getpid(), function);
	n += asked ? snprintf(text + n, sizeof text - n, "0x%lx", rv) : snprintf(text + n, sizeof text - n, "-");
	n += snprintf(text + n, sizeof text - n, " 0x%lx ", told);
	for (CK_ULONG i = 0; in && i < in_len && i < 64; i++)
		n += snprintf(text + n, sizeof text - n, "%02x", in[i]);
	text[n++] = '\n';
	if (write(logfile, text, n) != n)
		return;
}

static int is(const char *a, const char *b) { return !strcmp(a, b); }

static void stop(struct call *c, CK_RV rv)
{
	c->stop = 1;
	c->told = rv;
}

/* hits: whether the line is for this call; it is counted. */
static int hits(const struct line *l, const struct call *c)
{
	if (!*l->function && (is(c->function, "C_Initialize") || is(c->function, "C_Finalize")))
		return 0;
	if (*l->function && !is(l->function, "*") && !is(l->function, c->function))
		return 0;
	if (c->query) {
		int meets = is(l->fault, "down") || is(l->fault, "removed") || is(l->fault, "disconnected");
		return meets && (!l->n || (l->later && __atomic_load_n(&counts[l->id], __ATOMIC_SEQ_CST) >= l->n));
	}
	uint64_t k = __atomic_add_fetch(&counts[l->id], 1, __ATOMIC_SEQ_CST);
	return !l->n || k == l->n || (l->later && k > l->n);
}

/* first: whether nobody obeyed this line before. */
static int first(unsigned id)
{
	uint64_t no = 0;
	return __atomic_compare_exchange_n(&counts[IDS + id], &no, 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static void lose_token(void)
{
	pthread_rwlock_wrlock(&inside);
	close_sessions();
	pthread_rwlock_unlock(&inside);
}

static void removed(struct call *c)
{
	c->empty = is(c->function, "C_GetSlotList");
	if (c->empty || is(c->function, "C_GetSlotInfo") || is(c->function, "C_GetInfo"))
		return;
	stop(c, is(c->function, "C_OpenSession") || is(c->function, "C_GetTokenInfo") || is(c->function, "C_GetMechanismInfo") ||
			is(c->function, "C_GetMechanismList") ? CKR_TOKEN_NOT_PRESENT : CKR_DEVICE_REMOVED);
}

static void obey(const struct line *l, struct call *c)
{
	if (first(l->id)) {
		char text[48];
		snprintf(text, sizeof text, "fault:%s", l->fault);
		note(text, 0, 0, 0, NULL, 0);
		if (is(l->fault, "removed") || is(l->fault, "disconnected"))
			lose_token();
	}
	if (is(l->fault, "down") || is(l->fault, "error")) {
		stop(c, l->argument);
	} else if (is(l->fault, "removed")) {
		removed(c);
	} else if (is(l->fault, "disconnected")) {
		pthread_mutex_lock(&mu);
		disconnected = l->argument;
		pthread_mutex_unlock(&mu);
	} else if (is(l->fault, "error-after")) {
		c->override = 1;
		c->told = l->argument;
	} else if (is(l->fault, "wrong-signature")) {
		c->spoil = is(c->function, "C_Sign");
	} else if (is(l->fault, "slow")) {
		pause_ms(l->argument);
	} else if (is(l->fault, "hang")) {
		wait_until_gone(l->id);
	} else if (is(l->fault, "hang-after")) {
		c->wait_id = l->id;
	} else if (is(l->fault, "segv")) {
		volatile int *volatile nowhere = NULL; /* volatile, or the compiler makes it a SIGILL */
		*nowhere = 0;
	} else if (is(l->fault, "exit")) {
		_exit(3);
	} else {
		behind(l->fault);
	}
}

/* begin gives 1 when the call is to be forwarded; then the lock is held for reading. */
static int begin(struct call *c, const char *function, int query)
{
	struct line lines[LINES];
	int n = read_control(lines);
	memset(c, 0, sizeof *c);
	c->function = function;
	c->query = query;
	for (int i = 0; i < n && !c->stop; i++) {
		if (is(function, "C_Initialize") && is(lines[i].fault, "disconnected"))
			stop(c, lines[i].argument);
		else if (hits(&lines[i], c))
			obey(&lines[i], c);
	}
	pthread_mutex_lock(&mu);
	if (is(function, "C_Finalize"))
		disconnected = 0;
	else if (disconnected && !c->stop && !is(function, "C_Initialize"))
		stop(c, disconnected);
	pthread_mutex_unlock(&mu);
	if (!c->stop)
		pthread_rwlock_rdlock(&inside);
	return !c->stop;
}

static CK_RV end(struct call *c, CK_RV rv, const CK_BYTE *in, CK_ULONG in_len)
{
	CK_RV told = c->stop || c->override ? c->told : rv;
	if (!c->stop)
		pthread_rwlock_unlock(&inside);
	if (c->wait_id)
		wait_until_gone(c->wait_id);
	if (!c->query)
		note(c->function, !c->stop, rv, told, in, in_len);
	return told;
}

/* F makes the wrapper of a function that has nothing special. */
#define F(name, params, args)                            \
	static CK_RV w_##name params                     \
	{                                                \
		struct call c;                           \
		CK_RV rv = CKR_OK;                       \
		if (begin(&c, #name, 0))                 \
			rv = real->name args;            \
		return end(&c, rv, NULL, 0);             \
	}
/* Q is for one that may be asked for the length of its output. */
#define Q(name, out, in, in_len, params, args)           \
	static CK_RV w_##name params                     \
	{                                                \
		struct call c;                           \
		CK_RV rv = CKR_OK;                       \
		if (begin(&c, #name, (out) == NULL))     \
			rv = real->name args;            \
		if (c.spoil && rv == CKR_OK)             \
			((CK_BYTE *)(out))[5] ^= 1;      \
		return end(&c, rv, in, in_len);          \
	}

typedef CK_SESSION_HANDLE S;
typedef CK_OBJECT_HANDLE O;
typedef CK_MECHANISM_PTR M;
typedef CK_ATTRIBUTE_PTR A;
typedef CK_BYTE_PTR B;
typedef CK_ULONG U;
typedef CK_ULONG_PTR UP;

F(C_Initialize, (CK_VOID_PTR a), (a))
F(C_Finalize, (CK_VOID_PTR a), (a))
F(C_GetInfo, (CK_INFO_PTR a), (a))
F(C_GetSlotInfo, (CK_SLOT_ID s, CK_SLOT_INFO_PTR i), (s, i))
F(C_GetTokenInfo, (CK_SLOT_ID s, CK_TOKEN_INFO_PTR i), (s, i))
Q(C_GetMechanismList, l, NULL, 0, (CK_SLOT_ID s, CK_MECHANISM_TYPE_PTR l, UP n), (s, l, n))
F(C_GetMechanismInfo, (CK_SLOT_ID s, CK_MECHANISM_TYPE t, CK_MECHANISM_INFO_PTR i), (s, t, i))
F(C_OpenSession, (CK_SLOT_ID s, CK_FLAGS f, CK_VOID_PTR a, CK_NOTIFY n, CK_SESSION_HANDLE_PTR h), (s, f, a, n, h))
F(C_CloseSession, (S s), (s))
F(C_CloseAllSessions, (CK_SLOT_ID s), (s))
F(C_GetSessionInfo, (S s, CK_SESSION_INFO_PTR i), (s, i))
F(C_Logout, (S s), (s))
F(C_CreateObject, (S s, A t, U n, CK_OBJECT_HANDLE_PTR o), (s, t, n, o))
F(C_CopyObject, (S s, O o, A t, U n, CK_OBJECT_HANDLE_PTR p), (s, o, t, n, p))
F(C_DestroyObject, (S s, O o), (s, o))
Q(C_GetAttributeValue, n && t[0].pValue ? t : NULL, NULL, 0, (S s, O o, A t, U n), (s, o, t, n))
F(C_SetAttributeValue, (S s, O o, A t, U n), (s, o, t, n))
F(C_FindObjectsInit, (S s, A t, U n), (s, t, n))
F(C_FindObjects, (S s, CK_OBJECT_HANDLE_PTR o, U m, UP n), (s, o, m, n))
F(C_FindObjectsFinal, (S s), (s))
F(C_EncryptInit, (S s, M m, O k), (s, m, k))
Q(C_Encrypt, o, NULL, 0, (S s, B i, U n, B o, UP p), (s, i, n, o, p))
F(C_DecryptInit, (S s, M m, O k), (s, m, k))
Q(C_Decrypt, o, NULL, 0, (S s, B i, U n, B o, UP p), (s, i, n, o, p))
F(C_SignInit, (S s, M m, O k), (s, m, k))
Q(C_Sign, o, i, n, (S s, B i, U n, B o, UP p), (s, i, n, o, p))
F(C_VerifyInit, (S s, M m, O k), (s, m, k))
F(C_Verify, (S s, B i, U n, B o, U p), (s, i, n, o, p))
F(C_GenerateKey, (S s, M m, A t, U n, CK_OBJECT_HANDLE_PTR o), (s, m, t, n, o))
F(C_GenerateKeyPair, (S s, M m, A t, U n, A u, U k, CK_OBJECT_HANDLE_PTR o, CK_OBJECT_HANDLE_PTR p), (s, m, t, n, u, k, o, p))
Q(C_WrapKey, o, NULL, 0, (S s, M m, O w, O k, B o, UP p), (s, m, w, k, o, p))
F(C_UnwrapKey, (S s, M m, O w, B i, U n, A t, U k, CK_OBJECT_HANDLE_PTR o), (s, m, w, i, n, t, k, o))
F(C_GenerateRandom, (S s, B o, U n), (s, o, n))

static CK_RV w_C_Login(S s, CK_USER_TYPE u, CK_UTF8CHAR_PTR p, U n)
{
	struct call c;
	CK_RV rv = CKR_OK;
	if (begin(&c, "C_Login", 0))
		rv = real->C_Login(s, u, p, n);
	if (!c.stop && rv == CKR_OK && u == CKU_USER && n <= sizeof pin) {
		pthread_mutex_lock(&mu);
		memcpy(pin, p, n);
		pin_len = n;
		pthread_mutex_unlock(&mu);
	}
	return end(&c, rv, NULL, 0);
}

static CK_RV w_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID_PTR l, UP n)
{
	struct call c;
	CK_RV rv = CKR_OK;
	if (begin(&c, "C_GetSlotList", l == NULL)) {
		if (c.empty && present)
			*n = 0;
		else
			rv = real->C_GetSlotList(present, l, n);
	}
	return end(&c, rv, NULL, 0);
}

static void load(void)
{
	const char *path = getenv("MOHOR_FAULTY_MODULE"), *log = getenv("MOHOR_FAULTY_LOG");
	char state[4096];
	void *lib = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = lib ? (CK_RV(*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(lib, "C_GetFunctionList") : NULL;
	control = getenv("MOHOR_FAULTY_CONTROL");
	if (!get || !control || get(&real) != CKR_OK)
		return;
	control = strdup(control);
	snprintf(state, sizeof state, "%s.state", control);
	int fd = open(state, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 2 * IDS * sizeof *counts))
		return;
	counts = mmap(NULL, 2 * IDS * sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (counts == MAP_FAILED)
		return;
	if (log && (logfile = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		return;
	list = *real;
#define W(name) list.name = w_##name;
	W(C_Initialize) W(C_Finalize) W(C_GetInfo) W(C_GetSlotList) W(C_GetSlotInfo) W(C_GetTokenInfo) W(C_GetMechanismList)
	W(C_GetMechanismInfo) W(C_OpenSession) W(C_CloseSession) W(C_CloseAllSessions) W(C_GetSessionInfo) W(C_Login) W(C_Logout)
	W(C_CreateObject) W(C_CopyObject) W(C_DestroyObject) W(C_GetAttributeValue) W(C_SetAttributeValue) W(C_FindObjectsInit)
	W(C_FindObjects) W(C_FindObjectsFinal) W(C_EncryptInit) W(C_Encrypt) W(C_DecryptInit) W(C_Decrypt) W(C_SignInit) W(C_Sign)
	W(C_VerifyInit) W(C_Verify) W(C_GenerateKey) W(C_GenerateKeyPair) W(C_WrapKey) W(C_UnwrapKey) W(C_GenerateRandom)
	list.C_GetFunctionList = C_GetFunctionList;
	loaded = CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
	pthread_once(&once, load);
	if (loaded == CKR_OK)
		*out = &list;
	return loaded;
}
