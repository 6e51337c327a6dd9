/*
 * Small modules for the fuzz targets, by gcc alone: a livepatch as C writes one, and with KLP defined the parts by
 * which one of klp's is known. The structures have the names and fields of include/linux/livepatch.h that are read.
 */
#define SECTION(name) __attribute__((used, section(name)))

struct module {
	char name[56];
};

struct klp_callbacks {
	int (*pre_patch)(void *);
	void (*post_unpatch)(void *);
	_Bool post_unpatch_enabled;
};

struct klp_func {
	const char *old_name;
	void *new_func;
	unsigned long old_sympos;
	unsigned int patched : 1, transition : 3;
};

struct klp_object {
	const char *name;
	struct klp_func *funcs;
	struct klp_callbacks callbacks;
};

struct klp_state {
	unsigned long id;
	unsigned int version;
	void *data;
};

struct klp_patch {
	struct module *mod;
	struct klp_object *objs;
	struct klp_state *states;
	_Bool replace;
};

typedef unsigned long size;
enum level { LOW = -1, HIGH = 7 };
enum wide { WIDE = 0x123456789abcdef };
union number {
	const volatile int *whole;
	struct {
		enum level level;
		char text[2][4];
	};
};
typedef int (*show)(struct klp_func *func, union number number, const enum wide *wide, ...);

extern int printk(const char *format, ...);
extern int hidden(void) __asm__("\".klp.sym.vmlinux.hidden,0\"");
extern int placeholder(size number);
int counter SECTION(".data..percpu");
show shown;

static inline __attribute__((always_inline)) int leaf(int value)
{
	return printk("%d", value) + counter;
}

static int replacement(union number number)
{
	return leaf(*number.whole) + leaf(number.level) + hidden() + placeholder(3);
}

static int pre_patch(void *object)
{
	return leaf(1) + placeholder(sizeof(object));
}

struct module __this_module SECTION(".gnu.linkonce.this_module") = { "seed" };
const char modinfo[] SECTION(".modinfo") = "license=GPL\0livepatch=Y\0name=seed\0depends=a,b\0"
	"parmtype=level:int\0parm=level:How much\0vermagic=6.12.0-seed SMP \0";
const void *export __asm__("__ksymtab_replacement") SECTION("__ksymtab") = replacement;

#ifdef KLP
struct func_entry {
	const char *object, *symbol;
	void *replacement;
	unsigned long sympos;
};
const char manifest[] SECTION(".note.klp_manifest") =
	"patch\tfix\t0\t1\t3\tseed\t1\t32\t1\t1\t1\t1\t1\0"
	"func\tvmlinux\treplaced\t0\t-\tseed.c:1\0"
	"symbol\tvmlinux\treplaced\t0\toriginal\treplaced\tplaceholder\tlivepatch.c:57\0"
	"param\tlevel\t3\t0\t420\tHow much";
unsigned long start_patch __asm__("__start_klp_patch") SECTION("klp_patch") = 1;
char stop_patch[0] __asm__("__stop_klp_patch") SECTION("klp_patch");
struct func_entry start_funcs __asm__("__start_klp_funcs") SECTION("klp_funcs") = { 0, "replaced", replacement, 0 };
char stop_funcs[0] __asm__("__stop_klp_funcs") SECTION("klp_funcs");
#else
static struct klp_func funcs[] = { { "replaced", replacement, 1 }, {} };
static struct klp_object objects[] = { { "module", funcs, { pre_patch } }, { 0, funcs }, {} };
static struct klp_state states[] = { { 7, 1 }, {} };
struct klp_patch patch = { &__this_module, objects, states, 1 };
#endif

const void *reference = pre_patch;
