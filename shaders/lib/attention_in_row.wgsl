// The attention parameters follow the patch in a row, [batch, row].
fn attention_start(image: u32) -> u32 {
    return image * p.row + patch_size();
}
