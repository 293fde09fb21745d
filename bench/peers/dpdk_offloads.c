/* The peer of `lab bench offloads`: DPDK's librte_gro and librte_gso, asked line by line.
 *
 *   gro FILE LENGTH L4 BURSTS      the file holds one burst of frames of LENGTH bytes
 *   gso FILE LENGTH L4 SIZE CALLS  the file holds one large frame, cut into segments of SIZE bytes of payload
 *
 * L4 is the length of the TCP header. The answer is a line: the median of a call's cycles for each segment, and how many
 * packets a call left. Only the library's call is timed; packets are put back as they were, and segments freed, outside.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gro.h>
#include <rte_gso.h>
#include <rte_mbuf.h>

#define BURST 32
#define FILL 2048 /* bytes of a buffer behind its headroom of 128 */
#define L2 14
#define L3 20
#define MOST 65536
#define SEGMENTS 128

static struct rte_mempool *pool, *indirect;
static uint8_t bytes[BURST * 2048 > MOST ? BURST * 2048 : MOST];

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static double median(uint64_t *took, int n)
{
	qsort(took, n, sizeof(*took), by_size);
	return n % 2 ? took[n / 2] : (took[n / 2 - 1] + took[n / 2]) / 2.0;
}

static void refuse(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void read_frames(const char *path, size_t size)
{
	FILE *file = fopen(path, "rb");
	if (size > sizeof(bytes) || !file || fread(bytes, 1, size, file) != size)
		refuse("the file of frames cannot be read");
	fclose(file);
}

static void answer(uint64_t *took, int n, int segments, int left)
{
	printf("%.3f %d\n", median(took, n) / segments, left);
	fflush(stdout);
	free(took);
}

/* A received packet: fields and headers as they were; the payload is never written. */
static void put_back(struct rte_mbuf *m, const uint8_t *frame, int length, int l4)
{
	rte_pktmbuf_reset(m);
	m->data_len = m->pkt_len = length;
	m->l2_len = L2;
	m->l3_len = L3;
	m->l4_len = l4;
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	memcpy(rte_pktmbuf_mtod(m, void *), frame, L2 + L3 + l4);
}

static void gro(const char *path, int length, int l4, int bursts)
{
	struct rte_gro_param param = {.gro_types = RTE_GRO_TCP_IPV4, .max_flow_num = BURST, .max_item_per_flow = BURST};
	struct rte_mbuf *mine[BURST], *burst[BURST];
	uint64_t *took = calloc(bursts, sizeof(*took));
	int left = 0;

	read_frames(path, (size_t)BURST * length);
	if (length > FILL || rte_pktmbuf_alloc_bulk(pool, mine, BURST))
		refuse("no mbufs");
	for (int k = 0; k < BURST; k++)
		memcpy(rte_pktmbuf_mtod(mine[k], void *), bytes + k * length, length);
	for (int n = 0; n < bursts; n++) {
		for (int k = 0; k < BURST; k++)
			put_back(burst[k] = mine[k], bytes + k * length, length, l4);
		rte_mb();
		uint64_t began = rte_rdtsc();
		left = rte_gro_reassemble_burst(burst, BURST, &param);
		took[n] = rte_rdtsc() - began;
	}
	for (int k = 0; k < BURST; k++)
		put_back(mine[k], bytes + k * length, length, l4);
	rte_pktmbuf_free_bulk(mine, BURST);
	answer(took, bursts, BURST, left);
}

static struct rte_mbuf *large_packet(int length)
{
	struct rte_mbuf *first = NULL, *m;
	for (int at = 0; at < length; at += FILL) {
		int part = length - at < FILL ? length - at : FILL;
		if (!(m = rte_pktmbuf_alloc(pool)))
			refuse("no mbufs");
		memcpy(rte_pktmbuf_append(m, part), bytes + at, part);
		if (!first)
			first = m;
		else if (rte_pktmbuf_chain(first, m))
			refuse("the chain is too long");
	}
	return first;
}

static void gso(const char *path, int length, int l4, int size, int calls)
{
	struct rte_gso_ctx ctx = {
		.direct_pool = pool, .indirect_pool = indirect, .gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO, .gso_size = L2 + L3 + l4 + size};
	struct rte_mbuf *segments[SEGMENTS], *m;
	uint64_t *took = calloc(calls, sizeof(*took));
	int left = 0;

	read_frames(path, length);
	m = large_packet(length);
	m->l2_len = L2;
	m->l3_len = L3;
	m->l4_len = l4;
	for (int n = 0; n < calls; n++) {
		m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG;
		rte_mb();
		uint64_t began = rte_rdtsc();
		left = rte_gso_segment(m, &ctx, segments, SEGMENTS);
		took[n] = rte_rdtsc() - began;
		if (left <= 0)
			refuse("rte_gso_segment made nothing");
		for (int k = 0; k < left; k++)
			rte_pktmbuf_free(segments[k]);
	}
	rte_pktmbuf_free(m);
	answer(took, calls, left, left);
}

int main(int argc, char **argv)
{
	char line[4096], path[3072];
	int length, l4, size, calls;

	if (rte_eal_init(argc, argv) < 0)
		refuse("rte_eal_init failed");
	pool = rte_pktmbuf_pool_create("direct", 2047, 256, 0, RTE_PKTMBUF_HEADROOM + FILL, SOCKET_ID_ANY);
	indirect = rte_pktmbuf_pool_create("indirect", 2047, 256, 0, 0, SOCKET_ID_ANY);
	if (!pool || !indirect)
		refuse("no pool of mbufs");
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "gro %3071s %d %d %d", path, &length, &l4, &calls) == 4)
			gro(path, length, l4, calls);
		else if (sscanf(line, "gso %3071s %d %d %d %d", path, &length, &l4, &size, &calls) == 5)
			gso(path, length, l4, size, calls);
		else
			refuse("not understood");
	}
	return 0;
}
