"""Operations from pages of metrics that are read directly."""
