/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of sgx_vepc: the kernel's own and those of include/epc/abi.h, a function each. The
 * kernel copies arguments in and out by the size in the number, so what is checked here is a copy
 * that nobody changes any more.
 */
#include "front/instance_internal.h"

#include <errno.h>
#include <string.h>

#include "front/journal.h"

#define OFFSET_END (EPC_NR_INDICES << EPC_PAGE_SHIFT)

/* The ABI's numbers are the processor's. */
_Static_assert(SGX_GP == (EPC_LEAF_FAULT | 13), "a fault without an operand");
_Static_assert(SGX_PF(SGX_OPERAND_RCX) ==
		       (EPC_LEAF_FAULT | 14 | EPC_OPERAND_RCX << EPC_LEAF_OPERAND_SHIFT),
	       "a fault with one");
_Static_assert((int)SGX_OPERAND_RBX == EPC_OPERAND_RBX &&
		       (int)SGX_OPERAND_SECINFO == EPC_OPERAND_SECINFO,
	       "operands");
_Static_assert(EPC_UNLIMITED == EPC_MAX_UNLIMITED, "no limit");
_Static_assert(sizeof(struct epc_vepc_info) == 64, "the same for 32 and 64 bits");
_Static_assert(sizeof(struct epc_vepc_refusal) == 304, "the same for 32 and 64 bits");
_Static_assert(sizeof(struct epc_vepc_leaf) == 4368, "the same for 32 and 64 bits");
_Static_assert(offsetof(struct epc_vepc_leaf, info) % 8 == 0 &&
		       offsetof(struct epc_vepc_leaf, data) % 8 == 0,
	       "as the core wants them");

struct call {
	struct daemon *daemon;
	fuse_req_t req;
	struct instance *instance;
	const void *in; /* as large as the number says */
};

static bool are_zero(const __u64 *words, size_t count)
{
	__u64 bits = 0;

	for (size_t i = 0; i < count; i++)
		bits |= words[i];
	return !bits;
}

#define ARE_ZERO(array) are_zero(array, sizeof(array) / sizeof((array)[0]))

/* Both resets. The core may answer any time after the call: the request is the core's then. */
static void reset_begin(const struct call *call, bool is_of_vm)
{
	struct instance_request *request =
		instance_request_new(call->req, call->instance, INSTANCE_REQUEST_IOCTL, 0);
	struct epc *epc;

	if (!request) {
		fuse_reply_err(call->req, ENOMEM);
		return;
	}
	request->core.count = EPC_NR_INDICES;
	epc = engine_lock_for_long(call->daemon->engine);
	instance_request_link(call->daemon->instances, request);
	if (is_of_vm)
		epc_reset_vm(epc, &request->core);
	else
		epc_reset(epc, &request->core);
	engine_unlock(call->daemon->engine);
}

static void remove_all(const struct call *call)
{
	reset_begin(call, false);
}

static void reset_vm(const struct call *call)
{
	reset_begin(call, true);
}

static void info(const struct call *call)
{
	struct epc_instance *instance = call->instance->core;
	struct epc *epc = engine_lock(call->daemon->engine);
	struct epc_instance_report report;
	struct epc_vepc_info out;

	epc_start(epc, instance);
	epc_instance_report(instance, &report);
	engine_unlock(call->daemon->engine);
	out = (struct epc_vepc_info){
		.id = report.id,
		.capabilities = EPC_CAP_RESET_VM | EPC_CAP_LIMIT | EPC_CAP_REFUSAL | EPC_CAP_LEAF,
		.nr_instances = (__u32)report.nr_in_vm,
		.charged_bytes = report.nr_pages << EPC_PAGE_SHIFT,
		.limit_bytes = report.max_bytes,
		.nr_secs = report.nr_secs,
	};
	fuse_reply_ioctl(call->req, 0, &out, sizeof(out));
}

void instance_set_max_locked(struct daemon *daemon, struct epc *epc,
			     const struct instance *instance, uint64_t max_bytes)
{
	struct epc_instance_report report;

	epc_instance_report(instance->core, &report);
	epc_instance_set_max(epc, instance->core, max_bytes);
	if (report.max_bytes != max_bytes)
		journal_add_own_limit(daemon->journal, instance, &report, max_bytes);
}

static void set_limit(const struct call *call)
{
	struct epc_vepc_limit in;

	memcpy(&in, call->in, sizeof(in));
	if (!ARE_ZERO(in.reserved)) {
		fuse_reply_err(call->req, EINVAL);
		return;
	}
	/* So that its record comes after the one that says that the instance is there. */
	epc_start(engine_lock(call->daemon->engine), call->instance->core);
	engine_unlock(call->daemon->engine);
	instance_set_max_locked(call->daemon, engine_lock(call->daemon->engine), call->instance,
				in.limit_bytes);
	engine_unlock(call->daemon->engine);
	fuse_reply_ioctl(call->req, 0, NULL, 0);
}

static void refusal(const struct call *call)
{
	struct epc_vepc_refusal out;

	engine_lock(call->daemon->engine);
	out = call->instance->refusal;
	engine_unlock(call->daemon->engine);
	fuse_reply_ioctl(call->req, 0, &out, sizeof(out));
}

static bool leaf_is_valid(const struct epc_vepc_leaf *in)
{
	const struct epc_place *places[] = { &in->rcx, &in->rdx, &in->secs, &in->rbx_place };

	if (in->instruction > EPC_INSTRUCTION_ENCLU || in->reserved || !ARE_ZERO(in->reserved2))
		return false;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (places[i]->offset >= OFFSET_END)
			return false;
	return true;
}

/* Under the engine's lock. False: there is no such instance. */
static bool place_find(const struct instance_table *table, const struct epc_place *from,
		       struct epc_leaf_place *place)
{
	const struct instance *instance = instance_find(table, from->id);

	*place = (struct epc_leaf_place){ .offset = from->offset };
	if (!from->id)
		return true;
	if (!instance || instance->is_released)
		return false;
	place->instance = instance->core;
	return true;
}

static bool places_find(const struct instance_table *table, const struct epc_vepc_leaf *in,
			struct epc_leaf *leaf)
{
	return place_find(table, &in->rcx, &leaf->rcx) && place_find(table, &in->rdx, &leaf->rdx) &&
	       place_find(table, &in->secs, &leaf->secs) &&
	       place_find(table, &in->rbx_place, &leaf->rbx_place);
}

static void leaf_fill(struct epc_leaf *leaf, struct epc_vepc_leaf *in)
{
	leaf->is_enclu = in->instruction == EPC_INSTRUCTION_ENCLU;
	leaf->leaf = in->leaf;
	leaf->rbx = in->rbx;
	leaf->linaddr = in->linaddr;
	leaf->rdx_linaddr = in->rdx_linaddr;
	leaf->srcpge = in->srcpge;
	leaf->secinfo = in->secinfo;
	leaf->info = in->info;
	leaf->data = in->data;
}

static struct epc_vepc_leaf *argument_of(struct instance_request *request)
{
	return (struct epc_vepc_leaf *)(void *)request->buffer;
}

/* The core has it, or -EINVAL and the request is the caller's again. */
static int leaf_submit(struct daemon *daemon, struct instance_request *request)
{
	struct instance_table *table = daemon->instances;
	struct epc_vepc_leaf *in = argument_of(request);
	struct epc *epc = engine_lock(daemon->engine);
	int error = 0;

	if (places_find(table, in, &request->leaf)) {
		request->core.payer = request->payer ? request->payer->cgroup :
						       request->instance->opener->cgroup;
		instance_request_link(table, request);
		epc_leaf(epc, &request->leaf);
		/* It may be parked later, too: after an unmapping, or when a loss is over. */
		instance_request_park(table, request);
	} else {
		error = -EINVAL;
	}
	engine_unlock(daemon->engine);
	return error;
}

static void leaf(const struct call *call)
{
	struct epc_vepc_leaf *in;
	struct instance_request *request =
		instance_request_new(call->req, call->instance, INSTANCE_REQUEST_LEAF, sizeof(*in));
	int error = ENOMEM;

	if (!request)
		goto answer;
	in = argument_of(request);
	memcpy(in, call->in, sizeof(*in));
	error = EINVAL;
	if (!leaf_is_valid(in))
		goto free_request;
	leaf_fill(&request->leaf, in);
	/* Until it is answered: nobody else keeps the cgroup while the leaf waits unparked. */
	request->payer = mirror_of_task(call->daemon->mirror, fuse_req_ctx(call->req)->pid);
	if (leaf_submit(call->daemon, request) == 0)
		return;
	if (request->payer)
		mirror_put(call->daemon->mirror, request->payer);
free_request:
	instance_request_drop(request);
answer:
	fuse_reply_err(call->req, error);
}

void vepc_leaf_answer(struct instance_request *request)
{
	struct epc_vepc_leaf *out = argument_of(request);

	if (request->core.result) {
		fuse_reply_err(request->req, -request->core.result);
		return;
	}
	out->result = (__u32)request->leaf.outcome;
	out->linaddr = request->leaf.linaddr; /* EWB tells it */
	fuse_reply_ioctl(request->req, 0, out, sizeof(*out));
}

static const struct {
	unsigned int cmd;
	void (*run)(const struct call *call);
} ioctls[] = {
	{ SGX_IOC_VEPC_REMOVE_ALL, remove_all }, { EPC_IOC_VEPC_INFO, info },
	{ EPC_IOC_VEPC_RESET_VM, reset_vm },	 { EPC_IOC_VEPC_SET_LIMIT, set_limit },
	{ EPC_IOC_VEPC_REFUSAL, refusal },	 { EPC_IOC_VEPC_LEAF, leaf },
};

#define NR_IOCTLS (sizeof(ioctls) / sizeof(ioctls[0]))

/* Whether the argument is what the number says: none, or so many bytes in, out, or both ways. */
static bool is_argument_valid(unsigned int cmd, const void *arg, size_t in_size, size_t out_size)
{
	size_t size = _IOC_SIZE(cmd);

	if (!size)
		return !arg;
	return in_size == (_IOC_DIR(cmd) & _IOC_WRITE ? size : 0) &&
	       out_size == (_IOC_DIR(cmd) & _IOC_READ ? size : 0);
}

void vepc_ioctl(struct daemon *daemon, fuse_req_t req, struct instance *instance, unsigned int cmd,
		const void *arg, const void *in, size_t in_size, size_t out_size)
{
	const struct call call = {
		.daemon = daemon,
		.req = req,
		.instance = instance,
		.in = in,
	};
	size_t i = 0;

	while (i < NR_IOCTLS && ioctls[i].cmd != cmd)
		i++;
	if (i == NR_IOCTLS)
		fuse_reply_err(req, ENOTTY);
	else if (!is_argument_valid(cmd, arg, in_size, out_size))
		fuse_reply_err(req, EINVAL);
	else
		ioctls[i].run(&call);
}
