"""The draws of docs/shared-seed.md, by a SipHash-2-4 written from its paper (Aumasson and Bernstein, INDOCRYPT 2012).

Prints the table of vectors: `python3 docs/derivations/shared_seed.py`. Standard library only.
"""

MASK = (1 << 64) - 1


def rotate(value, by):
    return (value << by | value >> (64 - by)) & MASK


def rounds(v, count):
    for _ in range(count):
        a, b, c, d = v
        a = (a + b) & MASK
        c = (c + d) & MASK
        b = rotate(b, 13) ^ a
        d = rotate(d, 16) ^ c
        a = rotate(a, 32)
        c = (c + b) & MASK
        a = (a + d) & MASK
        b = rotate(b, 17) ^ c
        d = rotate(d, 21) ^ a
        c = rotate(c, 32)
        v = [a, b, c, d]
    return v


def siphash(key, message):
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]
    whole = len(message) // 8 * 8
    words = [int.from_bytes(message[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append(int.from_bytes(message[whole:], "little") | (len(message) & 0xFF) << 56)
    for word in words:
        v[3] ^= word
        v = rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    v = rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def draw(key, symbols, per, episode, tick):
    tick = tick if per == "step" else 0
    for attempt in range(4):
        message = episode.to_bytes(8, "little") + tick.to_bytes(4, "little") + attempt.to_bytes(4, "little")
        product = (siphash(key, message) >> 32) * symbols
        if product % 2**32 >= 2**32 % symbols:
            break
    return product >> 32


KEY = bytes(range(16))

# The example of the paper's appendix A.
assert siphash(KEY, bytes(range(15))) == 0xA129CA6149BE45E5

MOMENTS = [(0, 0), (0, 1), (1, 0), (1, 41), (7, 300), (2**32, 2**32 - 1), (2**64 - 1, 0)]

if __name__ == "__main__":
    print("| | symbols | one per | episode | tick | symbol |\n|---|---|---|---|---|---|")
    for symbols, per in [(2, "step"), (2, "episode"), (3, "step"), (255, "step")]:
        for episode, tick in MOMENTS:
            print(f"| vector | {symbols} | {per} | {episode} | {tick} | {draw(KEY, symbols, per, episode, tick)} |")
