/* SPDX-License-Identifier: MIT */
/*
 * The ioctls of sgx_enclave: what each checks, reads and asks the core for; see enclave.h. How they
 * run, page after page and between threads, is enclave_call.c's.
 */
#include "front/enclave_internal.h"

#include <errno.h>
#include <string.h>

#include "front/device.h"

/* Linux: SGX_ATTR_UNPRIV_MASK, what needs no permission (AEX notify: this processor has none). */
#define ATTRIBUTES_FOR_ALL (SGX_ATTR_DEBUG | SGX_ATTR_MODE64BIT | SGX_ATTR_KSS)
#define VENDOR_INTEL 0x8086u
#define SIGSTRUCT_SIZE sizeof(struct sgx_sigstruct)

_Static_assert(sizeof(struct sgx_secinfo) == 64 && SIGSTRUCT_SIZE == 1808, "as Linux copies them");

/* Whether the range is one of the enclave's; both in bytes. */
static bool range_is_valid(const struct enclave *enclave, uint64_t offset, uint64_t length)
{
	if (offset % EPC_PAGE_SIZE || !length || length % EPC_PAGE_SIZE)
		return false;
	return length - EPC_PAGE_SIZE < enclave->size &&
	       offset < enclave->size - (length - EPC_PAGE_SIZE);
}

static struct epc_leaf *leaf_of(struct enclave_call *call)
{
	return &call->request->leaf;
}

/* ---- CREATE ---- */

static int create_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	(void)argument;
	return enclave->is_created ? -EINVAL : 0;
}

static int create_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	const void *bytes;
	int error = fetch_memory(fetcher, call->tid, call->argument.create.src, EPC_PAGE_SIZE, NULL,
				 &bytes);

	if (error)
		return error;
	memcpy(call->data, bytes, EPC_PAGE_SIZE);
	leaf_of(call)->host_op = EPC_HOST_CREATE;
	return 0;
}

static int create_done(struct enclave_call *call, int result)
{
	struct enclave *enclave = call->enclave;
	struct sgx_secs secs;

	if (result)
		return result;
	memcpy(&secs, call->data, sizeof(secs));
	enclave->is_created = true;
	enclave->base = secs.base;
	enclave->size = secs.size;
	enclave->attributes = secs.attributes.flags;
	enclave->allowed_attributes = ATTRIBUTES_FOR_ALL;
	return 0;
}

/* ---- ADD_PAGES ---- */

static int add_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	const struct sgx_enclave_add_pages *add = &argument->add_pages;

	if (!enclave->is_created || enclave->is_initialised || add->src % EPC_PAGE_SIZE ||
	    !range_is_valid(enclave, add->offset, add->length))
		return -EINVAL;
	return 0;
}

static bool secinfo_is_valid(const struct sgx_secinfo *secinfo)
{
	uint64_t type = (secinfo->flags & SGX_SECINFO_TYPE_MASK) >> SGX_SECINFO_TYPE_SHIFT;
	uint64_t rwx = secinfo->flags & SGX_SECINFO_RWX;
	uint8_t bits = 0;

	for (size_t i = 0; i < sizeof(secinfo->reserved); i++)
		bits |= secinfo->reserved[i];
	if (bits || secinfo->flags & ~(SGX_SECINFO_RWX | SGX_SECINFO_TYPE_MASK))
		return false;
	if ((rwx & SGX_SECINFO_W) && !(rwx & SGX_SECINFO_R))
		return false;
	return type == SGX_PT_REG || (type == SGX_PT_TCS && !rwx);
}

static int secinfo_fetch(struct enclave_call *call, struct fetcher *fetcher)
{
	struct sgx_secinfo secinfo;
	const void *bytes;
	int error = fetch_memory(fetcher, call->tid, call->argument.add_pages.secinfo,
				 sizeof(secinfo), NULL, &bytes);

	if (error)
		return error;
	memcpy(&secinfo, bytes, sizeof(secinfo));
	if (!secinfo_is_valid(&secinfo))
		return -EINVAL;
	memcpy(call->info, &secinfo, sizeof(secinfo));
	call->argument.add_pages.count = 0;
	call->has_begun = true;
	return 0;
}

static int add_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	const struct sgx_enclave_add_pages *add = &call->argument.add_pages;
	struct epc_leaf *leaf = leaf_of(call);
	const void *bytes;
	int error = call->has_begun ? 0 : secinfo_fetch(call, fetcher);

	if (error)
		return error;
	if (enclave_call_is_interrupted(call))
		return -EINTR;
	leaf->rcx.offset = call->enclave->base + add->offset + add->count;
	error = fetch_memory(fetcher, call->tid, add->src + add->count, EPC_PAGE_SIZE,
			     &call->mapping, &bytes);
	if (error == -ECANCELED)
		return error;
	/* The kernel looks for the page first. */
	if (error)
		return enclave_call_has_page(call, leaf->rcx.offset) ? -EBUSY : error;
	memcpy(call->data, bytes, EPC_PAGE_SIZE);
	leaf->host_op = EPC_HOST_ADD;
	leaf->rbx = add->flags & SGX_PAGE_MEASURE;
	return 0;
}

/* Whether there is more to do. */
static int range_done(__u64 *count, uint64_t length, int result)
{
	if (result)
		return result;
	*count += EPC_PAGE_SIZE;
	return *count < length ? ENCLAVE_CALL_GOES_ON : 0;
}

static int add_done(struct enclave_call *call, int result)
{
	struct sgx_enclave_add_pages *add = &call->argument.add_pages;

	/* What has been added, has been: the client asks for the rest again. */
	if (result == -EINTR && call->has_begun && add->count)
		return 0;
	return range_done(&add->count, add->length, result);
}

/* ---- INIT ---- */

static int init_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	(void)argument;
	return enclave->is_created && !enclave->is_initialised ? 0 : -EINVAL;
}

static int sigstruct_check(const struct enclave *enclave, const struct sgx_sigstruct *sigstruct)
{
	struct sgx_cpu cpu;

	if (sigstruct->vendor && sigstruct->vendor != VENDOR_INTEL)
		return -EINVAL;
	if (enclave->attributes & ~enclave->allowed_attributes)
		return -EACCES;
	sgx_cpu_default(&cpu);
	if (sigstruct->attributes.flags & sigstruct->attribute_mask.flags & ~cpu.attributes)
		return -EINVAL;
	if (sigstruct->miscselect & sigstruct->miscmask & ~cpu.miscselect)
		return -EINVAL;
	if (sigstruct->attributes.xfrm & sigstruct->attribute_mask.xfrm & ~cpu.xfrm)
		return -EINVAL;
	return 0;
}

static int init_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	struct sgx_sigstruct sigstruct;
	const void *bytes;
	int error = fetch_memory(fetcher, call->tid, call->argument.init.sigstruct,
				 sizeof(sigstruct), NULL, &bytes);

	if (error)
		return error;
	memcpy(&sigstruct, bytes, sizeof(sigstruct));
	memcpy(call->data, bytes, sizeof(sigstruct));
	leaf_of(call)->host_op = EPC_HOST_INIT;
	return sigstruct_check(call->enclave, &sigstruct);
}

static int init_done(struct enclave_call *call, int result)
{
	if (!result)
		call->enclave->is_initialised = true;
	return result;
}

/* ---- PROVISION ---- */

static int provision_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	struct daemon *daemon = call->daemon;
	unsigned int fd = (unsigned int)call->argument.provision.fd;
	pid_t tid = call->tid;
	bool is_provision;

	if (!fetch_begin(fetcher))
		return -ECANCELED;
	is_provision = device_is_provision(daemon, tid, fd);
	if (!fetch_end(fetcher))
		return -ECANCELED;
	if (!is_provision)
		return -EINVAL;
	call->enclave->allowed_attributes |= SGX_ATTR_PROVISIONKEY;
	return ENCLAVE_CALL_IS_DONE;
}

/* ---- SGX2 ---- */

static int restrict_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	const struct sgx_enclave_restrict_permissions *in = &argument->restrict_permissions;

	if (!enclave->is_initialised || !range_is_valid(enclave, in->offset, in->length) ||
	    in->permissions & ~SGX_SECINFO_RWX)
		return -EINVAL;
	if ((in->permissions & SGX_SECINFO_W) && !(in->permissions & SGX_SECINFO_R))
		return -EINVAL;
	return in->result || in->count ? -EINVAL : 0;
}

/* They need no memory of the client's. The kernel looks for no signal here but one that kills. */
static int sgx2_prepare(struct enclave_call *call, uint64_t offset)
{
	call->has_begun = true;
	if (enclave_call_is_interrupted(call))
		return -EINTR;
	leaf_of(call)->rcx.offset = call->enclave->base + offset;
	return 0;
}

/*
 * A code of the processor's is told; a page that others touch all the time is busy. EPC that runs
 * out is EFAULT in the kernel, as if there were no page: here it is ENOMEM.
 */
static int sgx2_result(struct enclave_call *call, int result, __u64 *code)
{
	int outcome = leaf_of(call)->outcome;

	if (result == -EFAULT && code && outcome && !sgx_is_fault(outcome))
		*code = (__u64)outcome;
	return result == -EBUSY && code ? -EAGAIN : result;
}

static int restrict_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	const struct sgx_enclave_restrict_permissions *in = &call->argument.restrict_permissions;

	(void)fetcher;
	leaf_of(call)->host_op = EPC_HOST_RESTRICT;
	leaf_of(call)->rbx = in->permissions;
	return sgx2_prepare(call, in->offset + in->count);
}

static int restrict_done(struct enclave_call *call, int result)
{
	struct sgx_enclave_restrict_permissions *out = &call->argument.restrict_permissions;

	return range_done(&out->count, out->length, sgx2_result(call, result, &out->result));
}

static int modify_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	const struct sgx_enclave_modify_types *in = &argument->modify_types;

	if (!enclave->is_initialised || !range_is_valid(enclave, in->offset, in->length) ||
	    (in->page_type != SGX_PT_TCS && in->page_type != SGX_PT_TRIM))
		return -EINVAL;
	return in->result || in->count ? -EINVAL : 0;
}

static int modify_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	const struct sgx_enclave_modify_types *in = &call->argument.modify_types;

	(void)fetcher;
	leaf_of(call)->host_op = EPC_HOST_MODIFY;
	leaf_of(call)->rbx = in->page_type;
	return sgx2_prepare(call, in->offset + in->count);
}

static int modify_done(struct enclave_call *call, int result)
{
	struct sgx_enclave_modify_types *out = &call->argument.modify_types;

	return range_done(&out->count, out->length, sgx2_result(call, result, &out->result));
}

static int remove_check(const struct enclave *enclave, const union enclave_argument *argument)
{
	const struct sgx_enclave_remove_pages *in = &argument->remove_pages;

	if (!enclave->is_initialised || !range_is_valid(enclave, in->offset, in->length))
		return -EINVAL;
	return in->count ? -EINVAL : 0;
}

static int remove_prepare(struct enclave_call *call, struct fetcher *fetcher)
{
	const struct sgx_enclave_remove_pages *in = &call->argument.remove_pages;

	(void)fetcher;
	leaf_of(call)->host_op = EPC_HOST_REMOVE;
	return sgx2_prepare(call, in->offset + in->count);
}

static int remove_done(struct enclave_call *call, int result)
{
	struct sgx_enclave_remove_pages *out = &call->argument.remove_pages;

	return range_done(&out->count, out->length, sgx2_result(call, result, NULL));
}

static const struct enclave_ioctl ioctls[] = {
	{ SGX_IOC_ENCLAVE_CREATE, create_check, create_prepare, create_done, false },
	{ SGX_IOC_ENCLAVE_ADD_PAGES, add_check, add_prepare, add_done, true },
	{ SGX_IOC_ENCLAVE_INIT, init_check, init_prepare, init_done, false },
	{ SGX_IOC_ENCLAVE_PROVISION, NULL, provision_prepare, NULL, false },
	{ SGX_IOC_ENCLAVE_RESTRICT_PERMISSIONS, restrict_check, restrict_prepare, restrict_done,
	  false },
	{ SGX_IOC_ENCLAVE_MODIFY_TYPES, modify_check, modify_prepare, modify_done, false },
	{ SGX_IOC_ENCLAVE_REMOVE_PAGES, remove_check, remove_prepare, remove_done, false },
};

const struct enclave_ioctl *enclave_ioctl_find(unsigned int cmd)
{
	for (size_t i = 0; i < sizeof(ioctls) / sizeof(ioctls[0]); i++)
		if (ioctls[i].cmd == cmd)
			return &ioctls[i];
	return NULL;
}
