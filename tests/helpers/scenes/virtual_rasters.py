"""Virtual rasters of all kinds, and a folder of files that they may or may not refer to."""

from conftest import ice_image


def vrt(source, kind="", relative=0, inside="", band='band="{i}"'):
    """XML of a virtual raster of three bands of a source."""
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" {band.format(i=i)} {kind}>'
        f"{inside or simple(source, i, relative)}"
        "</VRTRasterBand>"
        for i in (1, 2, 3)
    )
    return f'<VRTDataset rasterXSize="16" rasterYSize="12">{bands}</VRTDataset>'


def simple(source, band, relative):
    return (
        f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource>"
    )


def raw(source, relative=0):
    return vrt(
        source,
        'subClass="VRTRawRasterBand"',
        inside=f'<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename>'
        "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>16</LineOffset>",
    )


def make_places(tmp_path, write_scene):
    """A folder of a scene and, beside it, an image and a text that nobody named."""
    (tmp_path / "in/below").mkdir(parents=True)
    write_scene("outside.tif", ice_image(12, 16))
    write_scene("in/inside.tif", ice_image(12, 16))
    write_scene("in/below/b.tif", ice_image(12, 16))
    (tmp_path / "secret.txt").write_text("SECRET " * 100)
    (tmp_path / "in/notes.txt").write_text("notes " * 100)
    return tmp_path / "in"
